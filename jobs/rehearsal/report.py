"""The report of a rehearsal as pages and commands show it."""

from dataclasses import asdict
from typing import Any

from jobs.kinds.base import Report
from jobs.models import Job


def report_of(job: Job) -> Report:
    """What the job has found out in its attempt so far."""
    return job.job_kind.report(job.spec_of_kind, job.events.said(job.attempt))


def as_json(job: Job) -> dict[str, Any]:
    found = report_of(job)
    return {"parts": [asdict(line) for line in found.lines], "not_tried": list(found.not_tried)}


def as_lines(job: Job) -> list[str]:
    found = report_of(job)
    lines = [f"  {line.state:<8} {line.name:<11} {line.said}".rstrip() for line in found.lines]
    return [*lines, *(f"  not tried: {said}" for said in found.not_tried)]
