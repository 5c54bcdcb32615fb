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
    """Those that can judge, newest first. The database leaves out all others, so that many of them
    do not crowd these out."""
    # With a further override the weights could change.
    validate = runs.filter(spec__overrides=[], spec__values__has_key="val_files")
    validate = validate.exclude(spec__values__val_files="")
    # A run with a learning rate of 0 is a score itself; one without the setting is none.
    fitting = validate.exclude(spec__values__has_key="lr", spec__values__lr=0)
    return list(fitting.select_related("machine", "dataset_version").order_by("-pk")[:OFFERED])
