"""How long pages of evaluations of 1,000 prompts with four answers each take: a comparison of two
and of four, the leaderboard of thirty models, that of as many with sixty tasks of lm-eval each, and
the interval of a difference by itself."""

import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import APIRequestContext, sync_playwright

from evaluations.kinds.evaluate import RESULT, SCORES, EvaluateSpec
from evaluations.results.keeping import keep
from evaluations.statistics.resampling import interval, mean_of
from jobs.models import Job, Status
from tests.bench.form import timed
from tests.bench.home import percentile
from tests.bench.start import end_all, signed_in
from tests.e2e.site import Site

PROMPTS, EACH, MODELS = 1000, 4, 30
TASKS, DOCUMENTS = 60, 100
TIMES = 20
DIGEST = "a" * 64


def measure(site: Site) -> dict[str, float]:
    site.start()
    try:
        end_all(site)
        jobs = [made(number) for number in range(MODELS)]
        [board] = {of_tasks(number) for number in range(MODELS)}
        with sync_playwright() as playwright:
            web = playwright.request.new_context(base_url=site.url, storage_state=signed_in())
            figures = measured(web, [job.pk for job in jobs], board)
    finally:
        site.stop()
    return {**figures, "an interval, the first [ms]": first_interval()}


def made(number: int) -> Job:
    """An evaluation that has completed, of a model that is a little better than the one before."""
    some = Job.objects.order_by("pk")[0]
    spec = EvaluateSpec(model=f"/models/{number}", samples=EACH).to_json()
    job = Job.objects.create(
        name=f"evaluation {number}", kind="evaluate", spec=spec, status=Status.COMPLETED,
        owner=some.owner, machine=some.machine,
    )  # fmt: skip
    draws, ease = np.random.default_rng(number), np.random.default_rng(0).random(PROMPTS)
    right = draws.random((PROMPTS, EACH)) < np.minimum(1, ease + number / 200)[:, None]
    result: dict[str, Any] = {
        "evaluator": {"digest": DIGEST}, "set": {"digest": DIGEST, "name": "a set"},
        "metrics": {"eval/score/mean": float(right.mean())}, "counts": {"prompts": PROMPTS},
    }  # fmt: skip
    folder = Path(job.run_dir)
    (folder / RESULT).parent.mkdir(parents=True)
    (folder / RESULT).write_text(json.dumps(result))
    lines = [
        {"prompt": f"{at:016x}", "text": f"question {at} " * 12, "scores": [*map(int, row)]}
        for at, row in enumerate(right.tolist())
    ]
    (folder / SCORES).write_text("\n".join(map(json.dumps, lines)))
    keep(job)
    return job


def of_tasks(number: int) -> str:
    """An evaluation of many tasks; the address of the leaderboard that it is in."""
    some = Job.objects.order_by("pk")[0]
    spec = EvaluateSpec(model=f"/models/{number}", way="tasks", tasks=["many"]).to_json()
    job = Job.objects.create(
        name=f"tasks {number}", kind="evaluate", spec=spec, status=Status.COMPLETED,
        owner=some.owner, machine=some.machine,
    )  # fmt: skip
    draws, digest = np.random.default_rng(number), "b" * 64
    right = draws.random((TASKS, DOCUMENTS)) < 0.5 + number / 200
    names = [f"task-{nr}" for nr in range(TASKS)]
    metrics = {f"eval/{name}/acc": float(right[nr].mean()) for nr, name in enumerate(names)}
    result: dict[str, Any] = {
        "evaluator": {"digest": digest}, "set": {"digest": digest, "name": "tasks"},
        "metrics": metrics | {f"{name}_stderr": 0.05 for name in metrics},
        "higher_is_better": dict.fromkeys(metrics, True), "counts": {"prompts": right.size},
    }  # fmt: skip
    folder = Path(job.run_dir)
    (folder / RESULT).parent.mkdir(parents=True)
    (folder / RESULT).write_text(json.dumps(result))
    lines = [
        {"prompt": f"{nr * 10_000 + at:016x}", "text": f"question {at} " * 12, "task": name,
         "metric": "acc", "scores": [int(score)]}
        for nr, name in enumerate(names) for at, score in enumerate(right[nr].tolist())
    ]  # fmt: skip
    (folder / SCORES).write_text("\n".join(map(json.dumps, lines)))
    keep(job)
    return f"/evaluations/board/?group={digest[:16]}-{digest[:16]}"


def measured(web: APIRequestContext, jobs: list[int], board: str) -> dict[str, float]:
    two = f"/evaluations/compare/?id={jobs[0]}&id={jobs[9]}"
    pages = {
        "the list": "/evaluations/",
        "two compared": two,
        "two compared, searched": f"{two}&q=question+77&only=better&sort=-gain",
        "four compared": f"{two}&id={jobs[19]}&id={jobs[29]}",
        "the leaderboard": f"/evaluations/board/?group={DIGEST[:16]}-{DIGEST[:16]}",
        "the leaderboard of many tasks": board,
    }
    figures = {}
    for what, address in pages.items():
        figures[f"{what}: the first time [ms]"] = timed(partial(web.get, address))
        took = sorted(timed(partial(web.get, address)) for _ in range(TIMES))
        figures[f"{what}: median [ms]"] = percentile(took, 0.5)
        figures[f"{what}: 95 % [ms]"] = percentile(took, 0.95)
    return figures


def first_interval() -> float:
    """Of prompts of a number that nothing was drawn for before."""
    parts = mean_of(np.random.default_rng(1).normal(size=PROMPTS + 1))
    begun = time.perf_counter()
    interval(parts)
    return 1000 * (time.perf_counter() - begun)
