"""What commands say of a sweep."""

from typing import Any

from jobs.models import Status
from surgery.compose.models import Sweep
from surgery.compose.sweeping import Result, results
from surgery.kinds.judged import METRIC


def as_json(sweep: Sweep) -> dict[str, Any]:
    merges = [_result(each) for each in results(sweep)]
    return {
        "sweep": sweep.pk, "name": sweep.name, "parameter": sweep.parameter, "merges": merges,
    }  # fmt: skip


def _result(result: Result) -> dict[str, Any]:
    job, model, score = result.swept.job, result.model, result.swept.score
    return {
        "value": result.swept.value,
        "job": job.pk,
        "status": job.status,
        "reason": job.reason,
        "artifact": model and model.pk,
        "bytes": model and model.size,
        "sha256": model and (model.digest or None),
        "score_job": score and score.pk,
        "score_status": score and score.status,
        "val_loss": result.loss,
    }


def in_lines(data: dict[str, Any]) -> str:
    return "\n".join(_in_a_line(data["parameter"], each) for each in data["merges"])


def _in_a_line(parameter: str, found: dict[str, Any]) -> str:
    told = f"{parameter} {found['value']:g}: job {found['job']}, {found['status']}"
    told += f", artifact {found['artifact']}" if found["artifact"] else ""
    if found["val_loss"] is not None:
        return f"{told}, val/loss {found['val_loss']:.6g}"
    if found["score_status"] == Status.COMPLETED:
        return f"{told}, its score completed without a {METRIC}"
    return f"{told}, its score is {found['score_status']}" if found["score_job"] else told
