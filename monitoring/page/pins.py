"""Which metrics a user wants first on the pages of a kind of job."""

from typing import Any

from django.db import transaction

from jobs.models import Job
from jobs.verl.key_metrics import VALIDATION
from monitoring.models import Pin
from monitoring.store import points

MOST = 100  # of a user for one kind of job


class PinError(Exception):
    """The message is a sentence for the user."""


def pins_of(user: Any, kind: str) -> dict[str, bool]:
    """By name whether it stands first; a metric of which the user said nothing is left out."""
    return dict(Pin.objects.filter(user=user, kind=kind).values_list("name", "is_first"))


def put_first(user: Any, job: Job, name: str, is_first: bool) -> None:
    """For all jobs of this kind, from now on. Raises ``PinError``."""
    if not points.last(job, [name]):
        raise PinError(f"This run has no metric {name}.")
    mine = Pin.objects.filter(user=user, kind=job.kind)
    with transaction.atomic():
        mine.filter(name=name).delete()
        if is_first == stands_first(job, name):
            return
        if mine.count() >= MOST:
            raise PinError(f"No more than {MOST} metrics can be pinned for a kind of job.")
        mine.create(user=user, kind=job.kind, name=name, is_first=is_first)


def is_first(user: Any, job: Job, name: str) -> bool:
    """Whether it does so on the user's pages."""
    return pins_of(user, job.kind).get(name, stands_first(job, name))


def stands_first(job: Job, name: str) -> bool:
    """Whether it is among the first by itself."""
    known = job.job_kind.key_metrics(job.spec_of_kind)
    return name in known or (VALIDATION in known and name.startswith(VALIDATION))
