"""What runs of evaluations write, and what is kept of them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User

from evaluations.kinds.evaluate import RESULT, SCORES, EvaluateSpec
from evaluations.models import Evaluation
from evaluations.results.keeping import keep
from jobs.models import Job, Status
from monitoring.answers.rows import digest
from tests import factories

EVALUATOR = {"way": "answers", "trainyard_node": "0.1.0", "backend": "transformers",
             "digest": "a" * 64}  # fmt: skip


def line(number: int, scores: Sequence[float | None], **more: Any) -> dict[str, Any]:
    text = f"How much is {number} + {number}?"
    return {"prompt": digest(text), "text": text, "scores": list(scores), **more}


def result(**more: Any) -> dict[str, Any]:
    told: dict[str, Any] = {
        "evaluator": EVALUATOR,
        "set": {"digest": "b" * 64, "prompts": 3, "name": "sums@1"},
        "metrics": {"eval/score/mean": 0.5},
        "counts": {"prompts": 3, "answers": 3, "failed_scores": 0},
        "left_out": [],
        "seconds": {"generate": 1.5},
    }
    return told | more


def evaluated(
    owner: User, rows: Sequence[dict[str, Any]] | bytes, told: dict[str, Any] | bytes | None = None,
    spec: EvaluateSpec | None = None, **fields: Any,
) -> Job:  # fmt: skip
    """An evaluation that has completed, with these files in its run directory."""
    asked = spec or EvaluateSpec(model="/models/tiny")
    job = factories.make_job(owner, **{
        "kind": "evaluate", "recipe": "", "spec": asked.to_json(), "status": Status.COMPLETED,
        **fields,
    })  # fmt: skip
    folder = Path(job.run_dir)
    (folder / RESULT).parent.mkdir(parents=True)
    if not isinstance(told, bytes):
        told = json.dumps(result() if told is None else told).encode()
    (folder / RESULT).write_bytes(told)
    text = rows if isinstance(rows, bytes) else "".join(f"{json.dumps(r)}\n" for r in rows).encode()
    (folder / SCORES).write_bytes(text)
    return job


def kept(owner: User, scores: Sequence[Sequence[float | None]], **more: Any) -> Evaluation:
    """What is kept of an evaluation whose prompts scored so."""
    rows = [line(number, each) for number, each in enumerate(scores)]
    found = keep(evaluated(owner, rows, **more))
    assert found is not None
    return found
