"""Deleting many artifacts at once: one process empties their places, one after the other."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db import transaction
from django.utils import timezone

from compute.models import Machine
from jobs import events, lifecycle
from jobs.artifacts import deleting
from jobs.artifacts.refusals import Judge
from jobs.models import Job, Place, Removal
from platform_site.work import together, verbs


@dataclass
class Asked:
    """What is being deleted, and what is not, each with a sentence that says why."""

    removals: list[Removal] = field(default_factory=list)
    refused: list[tuple[Place, str]] = field(default_factory=list)


def delete_all(places: Sequence[int], *, who: str, sure: bool = False) -> Asked:
    """Have the places of these keys emptied. ``sure`` is the second word of somebody who was told
    what is lost. From here on no job is given what lies there."""
    with transaction.atomic():
        asked = _ask(places, who, sure)
        if asked.removals:
            verbs.ask(asked.removals[0])
    return asked


def _ask(keys: Sequence[int], who: str, sure: bool) -> Asked:
    # Held as by whoever changes the queue: no job begins to wait for one of them meanwhile.
    machines = Place.objects.filter(pk__in=keys).values("machine")
    list(Machine.objects.select_for_update().filter(pk__in=machines).order_by("pk"))
    rows = Place.objects.filter(pk__in=keys).select_related("machine", "artifact__job")
    places, asked = list(rows.order_by("pk")), Asked()
    judge, now, goes = Judge(places), timezone.now(), list[Place]()
    for place in places:
        lost = () if sure else judge.warnings(place)
        if reason := judge.why_not(place) or " ".join(lost):
            asked.refused.append((place, reason))
        else:
            goes.append(place)
    Place.objects.filter(pk__in=[place.pk for place in goes]).update(gone_at=now, gone_by=who)
    asked.removals = Removal.objects.bulk_create(
        [Removal(place=place, who=who, asked_at=now, beat_at=now) for place in goes]
    )
    _tell(goes, who)
    return asked


def _tell(places: Sequence[Place], who: str) -> None:
    """In the events of the runs that made them, whose open pages then show it."""
    jobs = dict[int, Job]()
    for place in places:
        if job := place.artifact.job:
            jobs[job.pk] = job
            message = f"{place.path} on {place.machine}."
            lifecycle.record(job, events.DELETION_ASKED, who=who, message=message)
    for job in jobs.values():
        lifecycle.touch(job)


def work_off(removal: Removal) -> bool:
    """Do a deletion, and then those that wait."""
    return together.work_off(removal, deleting.work_off)
