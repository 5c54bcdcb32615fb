"""The panels of a job's page: its kind names them, and here is what each of them shows."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count, Max

from compute.runners.base import RunnerError
from evaluations.board.shown import figures
from evaluations.results.keeping import kept
from jobs.artifacts.reading import inputs_of
from jobs.dryfire.proposing import found_in
from jobs.models import Artifact, Job
from jobs.rehearsal.report import report_of
from jobs.verl.key_metrics import TWINS
from monitoring.models import SystemSample
from monitoring.page import live
from monitoring.page.figures import Group, key_metrics, series_groups
from monitoring.page.hardware import over_the_run
from monitoring.page.log_forms import LogForm
from monitoring.page.log_search import actors_in
from monitoring.page.pins import pins_of
from monitoring.page.provenance import provenance
from monitoring.page.timing import timing
from platform_site.terminal import plain
from surgery.choice.candidate import Candidate
from surgery.choice.criteria import ChoiceError, by_metric, by_validation
from surgery.choosing.table import Table, table_of

MOST_EVENTS = 200
MOST_CHECKPOINTS = 100
MOST_MEASURED = 2  # metrics beside a checkpoint; the table of surgery has more
MOST_MADE = 20  # by the kinds that make one thing in each attempt
MOST_READ = 64  # models and adapters
MODELS = (Artifact.Kind.HUGGINGFACE, Artifact.Kind.CHECKPOINT)
MOST_GROUPS = 200  # of charts
MOST_FIGURES = 100  # of an evaluation
COUNT_WORDS = {
    "prompts": "Prompts asked", "answers": "Answers", "failed_scores": "Answers without a score",
    "too_long": "Prompts that were too long", "clipped": "Answers at the limit of tokens",
    "empty": "Empty answers",
}  # fmt: skip
AHEAD = 20  # charts; charts.js asks for as many at once
AHEAD_WIDTH = 320  # pixels: about those of a card, which a browser knows later


def template_of(panel: str) -> str:
    return f"monitoring/page/panels/{panel}.html"


def context_of(job: Job, viewer: Any) -> dict[str, Any]:
    """What the panels of its page show. Of those that its kind does not name, nothing is read."""
    names = job.job_kind.panels
    context: dict[str, Any] = {"job": job, "panels": names, "parts": [*map(template_of, names)]}
    for name in names:
        if show := SHOWS.get(name):
            context |= show(job)
    if "charts" in names:
        context |= charts(job, viewer)
    return context


def charts(job: Job, viewer: Any) -> dict[str, Any]:
    pins = pins_of(viewer, job.kind)
    groups = series_groups(job, pins)
    return {
        "keys": json.dumps(key_metrics(job, pins)),
        "twins": json.dumps(TWINS),
        "series_groups": groups[:MOST_GROUPS],
        "groups_left": max(0, len(groups) - MOST_GROUPS),
        "ahead": ahead_of(groups),
        "is_wide": any(not group.series for group in groups),
    }


def ahead_of(groups: Sequence[Group]) -> str:
    """What the browser asks for while it still reads the page: the charts of the open group."""
    names = [series["name"] for group in groups[:1] for series in group.series[:AHEAD]]
    return urlencode({"name": names, "width": AHEAD_WIDTH}, doseq=True) if names else ""


def log(job: Job) -> dict[str, Any]:
    try:
        tail = live.log_tail(job)
    except RunnerError as error:
        tail = live.LogPart(str(error), 0, 0, 0)
    return {"log": tail, "log_form": LogForm(job), "actors": actors_in(plain(tail.text))}


def system(job: Job) -> dict[str, Any]:
    return system_at(job, job.system_samples.order_by("-pk").first()) | over_the_run(job)


def system_at(job: Job, sample: SystemSample | None) -> dict[str, Any]:
    shown = {"at": sample.at, **sample.data} if sample else None
    return {"job": job, "system": shown, "sample": sample.pk if sample else 0}


def events(job: Job) -> dict[str, Any]:
    """The newest ones; a page of their own has all."""
    facts = job.events.aggregate(count=Count("pk"), last=Max("pk"))
    shown = [*reversed(job.events.reverse()[:MOST_EVENTS])]
    return {"events": shown, "earlier": facts["count"] - len(shown), "event": facts["last"] or 0}


def checkpoints(job: Job) -> dict[str, Any]:
    """The checkpoints of a job, each with what was measured at its step and brought here of it."""
    fetches = {} if job.machine.is_local else {fetch.step: fetch for fetch in job.fetches.all()}
    table = table_of([job])
    best = best_of(table)
    rows = [
        {"saved": row.saved, "fetch": fetches.get(row.step), "values": row.values,
         "is_best": best is not None and best.key == row.candidate.key}
        for row in table.rows[:MOST_CHECKPOINTS]
    ]  # fmt: skip
    return {
        "job": job,
        "checkpoints": rows,
        "measured": table.columns[:MOST_MEASURED],
        "older": max(0, len(table.rows) - MOST_CHECKPOINTS),
        "is_coming": any(fetch.is_busy for fetch in fetches.values()),
    }


def best_of(table: Table) -> Candidate | None:
    """The checkpoint with the best validation, or else the best value of what is shown first; None
    where nothing says which is better."""
    candidates = table.candidates
    with suppress(ChoiceError):
        return by_validation(candidates).chosen
    for name in table.columns:
        with suppress(ChoiceError):
            return by_metric(candidates, name).chosen
    return None


def report(job: Job) -> dict[str, Any]:
    """What a job found out, part by part; what it tells on the way comes as events."""
    found = report_of(job)
    return {"job": job, "report": found, "found": found_in(job, found)}


def comparison(job: Job) -> dict[str, Any]:
    """What a comparison of two models found, in short; a page of its own has all."""
    return {"job": job, "compared": job.events.said(job.attempt).get("compared", {}).get("whole")}


def evaluation(job: Job) -> dict[str, Any]:
    """What an evaluation found, with the bounds of each figure."""
    found = kept(job)
    shown = figures(found)[:MOST_FIGURES] if found else []
    return {"job": job, "evaluation": found, "figures": shown, "count_words": COUNT_WORDS}


def result(job: Job) -> dict[str, Any]:
    """What a job made, the newest attempt's first, with the folder where it lies, and of what."""
    made = job.artifacts.with_state().prefetch_related("places").order_by("-attempt", "name")
    read = inputs_of(job)
    return {
        "job": job, "made": made[:MOST_MADE], "models": MODELS, "read": read[:MOST_READ],
        "read_left": max(0, len(read) - MOST_READ),
    }  # fmt: skip


# The panel with the command is not here: the page needs the command to say what is wrong with it.
# Nor are the charts: they depend on who looks.
# The command of the panel "config" is not here: the page needs it to say what is wrong with it.
SHOWS: Mapping[str, Callable[[Job], dict[str, Any]]] = {
    "timing": timing,
    "log": log,
    "system": system,
    "events": events,
    "checkpoints": checkpoints,
    "config": provenance,
    "report": report,
    "comparison": comparison,
    "evaluation": evaluation,
    "result": result,
}
