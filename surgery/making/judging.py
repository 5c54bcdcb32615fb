"""The runs by whose data and settings models can be scored."""

from django.contrib.auth.models import User
from django.db.models import QuerySet

from jobs.models import Job, Status

OFFERED = 100  # runs, the newest


def runs_of(user: User) -> QuerySet[Job]:
    """The runs of SFT that have completed."""
    mine = Job.objects.visible_to(user)
    return mine.filter(kind="sft", deleting_at=None, status=Status.COMPLETED)


def fit(runs: QuerySet[Job]) -> list[Job]:
    """Those that can judge, newest first.

    Not those with further overrides: one of them could let the weights change.
    """
    newest = runs.select_related("machine", "dataset_version").order_by("-pk")[:OFFERED]
    return [run for run in newest if not run.spec.get("overrides") and _validates(run)]


def _validates(run: Job) -> bool:
    """Whether it validates; one with a learning rate of 0 is a score itself."""
    values = run.spec.get("values", {})
    return bool(values.get("val_files")) and values.get("lr") != 0
