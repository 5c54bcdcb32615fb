"""Make again what a job made: a job with the same settings and inputs on the same machine."""

import uuid as uuids
from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib.auth.models import User

from compute.models import Machine
from jobs.launch.submit import Order
from jobs.models import Job, Status
from jobs.queue import claims

MOST = 20


@dataclass(frozen=True)
class Made:
    """A job of the same settings, with the SHA-256 of what it made; empty where none is known."""

    job: Job
    digests: Sequence[str]


def order_again(job: Job, user: User, uuid: uuids.UUID | None = None) -> Order:
    """The same ``uuid`` twice is the same job. One that still awaits what another job has yet to
    make waits for that again."""
    source = _awaited_of(job)
    return Order(
        owner=user,
        name=f"{job.name[:190]}, again",
        recipe=job.recipe,
        spec=job.spec_of_kind,
        steps=job.steps,
        machine=job.machine,
        uuid=uuid or uuids.uuid4(),
        dataset_version=job.dataset_version,
        retries=job.retries,
        max_seconds=job.max_seconds,
        after=source,
        after_checkpoint=source is not None,
        cloned_from=job,
    )


def _awaited_of(job: Job) -> Job | None:
    return next((each.source for each in job.awaited if each.source), None)


def _never_made(source: Job) -> str:
    """Why a job will not make the model that is awaited of it; empty when it may."""
    if source.deleting_at:
        return "being deleted"
    return source.stands if source.is_over and source.status != Status.COMPLETED else ""


def why_not(job: Job, order: Order) -> str:
    """Why it cannot be queued, in a sentence; empty when it can."""
    if job.awaited and order.after is None:
        return "The job whose model it was to begin with is gone."
    if order.after and (doubt := _never_made(order.after)):
        return f"{order.after.name}, whose model it is to begin with, is {doubt}."
    if not Machine.objects.for_jobs().filter(pk=order.machine.pk).exists():
        return f"{order.machine} takes no jobs any more, and it was made there."
    return claims.misfit(order.machine, order.spec)


def made_so_far(job: Job, user: User) -> list[Made]:
    """The completed jobs with just these settings, the newest first, and what they made."""
    same = Job.objects.visible_to(user).filter(
        kind=job.kind, spec=job.spec, machine=job.machine_id, status=Status.COMPLETED
    )
    rows = same.prefetch_related("artifacts").order_by("-pk")[:MOST]
    return [Made(each, _digests(each)) for each in rows]


def _digests(job: Job) -> list[str]:
    """None where one of what it made has none: the rest alone says nothing of the whole."""
    found = sorted(one.digest for one in job.artifacts.all())
    return found if all(found) else []


def compared(made: Sequence[Made]) -> str:
    """Whether the bytes were the same each time, in words; empty where it cannot be said."""
    known = [each.digests for each in made if each.digests]
    if len(known) < 2:
        return ""
    if all(digests == known[0] for digests in known):
        return f"All {len(known)} made the same bytes."
    said = f"The {len(known)} did not make the same bytes."
    if not made[0].job.job_kind.is_repeatable(made[0].job.spec_of_kind):
        return said
    return (
        f"{said} The same inputs and versions of the software would have made them: one or the "
        "other differs."
    )
