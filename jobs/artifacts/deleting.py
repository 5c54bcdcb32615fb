"""Deleting what jobs made, and keeping it from being deleted."""

from django.db import transaction
from django.utils import timezone

from compute.machines.reachability import mark_unreachable
from compute.machines.runners import runner_for
from compute.models import Machine
from compute.runners.base import RunnerError, Unreachable
from jobs import events, lifecycle
from jobs.artifacts.refusals import warnings, why_not
from jobs.models import Artifact, Place, Removal
from jobs.work import later
from platform_site.work.beating import beating
from platform_site.work.process import start_process

BEAT = 15.0  # seconds


class DeleteError(Exception):
    """It is not deleted. The message is a sentence for the user."""


class NeedsSecondWord(DeleteError):
    """It may be deleted, when somebody says so again who has read what is lost."""


def pin(artifact: Artifact, *, who: str) -> None:
    """Let nobody delete it."""
    Artifact.objects.filter(pk=artifact.pk, pinned_at=None).update(
        pinned_at=timezone.now(), pinned_by=who
    )
    artifact.refresh_from_db()


def unpin(artifact: Artifact) -> None:
    Artifact.objects.filter(pk=artifact.pk).update(pinned_at=None, pinned_by="")
    artifact.refresh_from_db()


def delete(place: Place, *, who: str, sure: bool = False) -> Removal:
    """Have an artifact deleted from one place by a process of its own.

    From here on no job is given it. ``sure`` is the second word of somebody who was told what is
    lost. Raises ``DeleteError``.
    """
    with transaction.atomic():
        removal = _ask(place, who=who, sure=sure)
        later("jobs.tasks.start_removal", removal.pk)
    return removal


def delete_now(place: Place, *, who: str, sure: bool = False) -> Removal:
    """Delete it in this process. Raises ``DeleteError``."""
    removal = _ask(place, who=who, sure=sure)
    work_off(removal)
    return removal


def _ask(place: Place, *, who: str, sure: bool) -> Removal:
    now = timezone.now()
    with transaction.atomic():
        # Held as by whoever changes the queue: no job begins to wait for it meanwhile.
        Machine.objects.select_for_update().get(pk=place.machine_id)
        place.refresh_from_db()
        if (before := place.removal) and before.ended_at is None:
            return _ask_again(before)
        _check(place, sure)
        Place.objects.filter(pk=place.pk).update(gone_at=now, gone_by=who)
        removal = Removal.objects.create(place=place, who=who, asked_at=now, beat_at=now)
        _tell(place, events.DELETION_ASKED, who, f"{place.path} on {place.machine}.")
    place.refresh_from_db()
    return removal


def _ask_again(removal: Removal) -> Removal:
    """Its process is gone, or somebody else asked just now: then there is nothing to do."""
    if removal.is_busy:
        raise DeleteError(f"It is being deleted already: {removal.who} asked for it.")
    now = timezone.now()
    Removal.objects.filter(pk=removal.pk).update(asked_at=now, beat_at=now, begun_at=None)
    removal.refresh_from_db()
    return removal


def _check(place: Place, sure: bool) -> None:
    if reason := why_not(place):
        raise DeleteError(f"The {place.artifact} is not deleted. {reason}")
    lost = warnings(place)
    if lost and not sure:
        raise NeedsSecondWord(" ".join(lost))


def start(removal: Removal) -> None:
    """A task may take two minutes, and a folder of a slow disk longer."""
    start_process("artifacts", "work-off", str(removal.pk))


def work_off(removal: Removal) -> None:
    """Do what was asked for; only one process does. Raises ``DeleteError``."""
    now = timezone.now()
    rows = Removal.objects.filter(pk=removal.pk, ended_at=None)
    if not rows.filter(begun_at=None).update(begun_at=now, beat_at=now):
        raise DeleteError("It is being deleted already, or was.")
    place = removal.place
    try:
        with beating(lambda: rows.update(beat_at=timezone.now()), BEAT):
            freed = runner_for(place.machine).remove(place.path)
    except RunnerError as error:
        if isinstance(error, Unreachable):
            mark_unreachable(place.machine, error)
        _failed(removal, str(error))
        raise DeleteError(str(error)) from None
    except BaseException:
        _failed(removal, "It was broken off.")
        raise
    _done(removal, freed)


def _failed(removal: Removal, error: str) -> None:
    """It is still there, or what is left of it: whoever looks at the disk next sees."""
    place = removal.place
    with transaction.atomic():
        removal.ended_at, removal.error = timezone.now(), error
        removal.save(update_fields=["ended_at", "error"])
        Place.objects.filter(pk=place.pk).update(gone_at=None, gone_by="")
        _tell(place, events.NOT_DELETED, removal.who, error)


def _done(removal: Removal, freed: int | None) -> None:
    place = removal.place
    found_gone = freed is None
    with transaction.atomic():
        removal.ended_at, removal.freed = timezone.now(), freed or 0
        removal.save(update_fields=["ended_at", "freed"])
        if found_gone:
            Place.objects.filter(pk=place.pk).update(gone_by="")
        told = "It was not there any more." if found_gone else f"{freed or 0:,} bytes were freed."
        _tell(place, events.DELETED, removal.who, f"{place.path}: {told}")


def _tell(place: Place, kind: str, who: str, message: str) -> None:
    """In the events of the run that made it, whose open pages then show it."""
    if job := place.artifact.job:
        lifecycle.record(job, kind, who=who, message=message)
        lifecycle.touch(job)
