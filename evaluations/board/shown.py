"""Which evaluations a list shows, and how."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db.models import F, QuerySet

from evaluations.kinds.evaluate import FIRST, WAYS, Evaluate
from evaluations.models import Evaluation
from jobs.models import Job, Status

SORTS = {
    "name": "name", "status": "status", "created_at": "created_at",
    "set": "evaluation__set_name", "prompts": "evaluation__prompts",
}  # fmt: skip
FILTERS = ("q", "way", "status", "set", "of")
NEWEST = "-created_at"


@dataclass(frozen=True)
class Figure:
    """One figure, with its bounds where they are known."""

    name: str
    value: float
    bounds: list[float] | None = None

    @property
    def short(self) -> str:
        return self.name.removeprefix("eval/")


def figures(evaluation: Evaluation) -> list[Figure]:
    """All of them, those that stand first for its way first."""
    first = [name for name in FIRST.get(evaluation.way, ()) if name in evaluation.metrics]
    names = list(dict.fromkeys([*first, *evaluation.metrics]))
    return [Figure(name, evaluation.metrics[name], evaluation.intervals.get(name))
            for name in names]  # fmt: skip


def all_of(user: User) -> QuerySet[Job]:
    """The evaluations that the user may see, whether or not they are over."""
    mine = Job.objects.visible_to(user).filter(kind=Evaluate.slug, deleting_at=None).shown()
    return mine.select_related("evaluation__artifact__job", "evaluation__of_job").defer(
        "evaluation__scores"
    )


def filtered(jobs: QuerySet[Job], wanted: Mapping[str, str]) -> QuerySet[Job]:
    """A value that is none leaves the list as it is."""
    if wanted["q"]:
        jobs = jobs.filter(name__icontains=wanted["q"])
    if wanted["way"] in WAYS:
        jobs = jobs.filter(spec__way=wanted["way"])
    if wanted["status"] in Status.values:
        jobs = jobs.filter(status=wanted["status"])
    if wanted["set"]:
        jobs = jobs.filter(evaluation__set_name=wanted["set"])
    if wanted["of"].isascii() and wanted["of"].isdigit() and len(wanted["of"]) < 10:
        jobs = jobs.filter(evaluation__of_job=int(wanted["of"]))
    return jobs


def in_order(jobs: QuerySet[Job], sort: str) -> QuerySet[Job]:
    field = F(SORTS[sort.removeprefix("-")])
    down = sort.startswith("-")
    order = field.desc(nulls_last=True) if down else field.asc(nulls_last=True)
    return jobs.order_by(order, "-pk")


def known_sort(asked: str) -> str:
    return asked if asked.removeprefix("-") in SORTS else NEWEST


def evaluation_of(job: Job) -> Evaluation | None:
    """What is kept of it; None before it has completed."""
    found: Evaluation | None = getattr(job, "evaluation", None)
    return found


def rows(jobs: "QuerySet[Job] | list[Job]") -> Iterator[dict[str, Any]]:
    for job in jobs:
        found = evaluation_of(job)
        yield {
            "job": job, "evaluation": found, "way": str(job.spec.get("way", "")),
            "figures": figures(found)[:2] if found else [],
        }  # fmt: skip


def as_json(job: Job) -> dict[str, Any]:
    """An evaluation as a program reads it."""
    found = evaluation_of(job)
    data: dict[str, Any] = {
        "id": job.pk, "name": job.name, "status": job.status, "way": job.spec.get("way"),
        "model": job.spec.get("model"), "created_at": job.created_at.isoformat(),
    }  # fmt: skip
    return data | (evaluation_json(found) if found else {"metrics": None})


def evaluation_json(found: Evaluation) -> dict[str, Any]:
    return {
        "artifact": found.artifact_id,
        "adapter": found.adapter,
        "of_job": found.of_job_id,
        "of_step": found.of_step,
        "set": {"name": found.set_name, "digest": found.set_digest, "prompts": found.prompts},
        "evaluator": found.evaluator | {"digest": found.evaluator_digest},
        "samples": found.samples,
        "metrics": found.metrics,
        "higher_is_better": found.higher_is_better,
        "intervals": found.intervals,
        "counts": found.counts,
        "left_out": found.left_out,
        "fault": found.fault,
    }
