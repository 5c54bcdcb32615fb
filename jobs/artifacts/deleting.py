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
from platform_site.counts import size_text
from platform_site.work import doing, verbs
from platform_site.work.doing import WorkFailed
from platform_site.work.models import BUSY


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
        verbs.ask(removal)
    return removal


def delete_now(place: Place, *, who: str, sure: bool = False) -> Removal:
    """Delete it in this process. Raises ``DeleteError``."""
    removal = _ask(place, who=who, sure=sure)
    work_off(removal)
    if not removal.is_done:
        raise DeleteError(removal.error or _goes_on(removal))
    return removal


def _ask(place: Place, *, who: str, sure: bool) -> Removal:
    with transaction.atomic():
        # Held as by whoever changes the queue: no job begins to wait for it meanwhile.
        Machine.objects.select_for_update().get(pk=place.machine_id)
        place.refresh_from_db()
        if (removal := place.removal) and removal.state in BUSY:
            if not verbs.renew(removal, who=who):
                raise DeleteError(_goes_on(removal))
            place.gone_at = None  # its process died: some of it may be there, and be read since
            _refuse(place)
        else:
            _check(place, sure)
            removal = Removal.objects.create(place=place, who=who)
            _tell(place, events.DELETION_ASKED, who, f"{place.path} on {place.machine}.")
        Place.objects.filter(pk=place.pk).update(gone_at=timezone.now(), gone_by=who)
    place.refresh_from_db()
    return removal


def _goes_on(removal: Removal) -> str:
    return f"It is being deleted already: {removal.who} asked for it."


def _refuse(place: Place) -> None:
    if reason := why_not(place):
        raise DeleteError(f"The {place.artifact} is not deleted. {reason}")


def _check(place: Place, sure: bool) -> None:
    _refuse(place)
    lost = warnings(place)
    if lost and not sure:
        raise NeedsSecondWord(" ".join(lost))


def work_off(removal: Removal) -> bool:
    """Do a deletion that waits; false when somebody else does it, or nobody asked for it."""
    return doing.do(removal, _emptied, _tell_end)


def _emptied(removal: Removal) -> dict[str, int]:
    place = removal.place
    try:
        freed = runner_for(place.machine).remove(place.path)
    except RunnerError as error:
        if isinstance(error, Unreachable):
            mark_unreachable(place.machine, error)
        raise WorkFailed(str(error)) from None
    if freed is None:  # it was found gone: nobody had it deleted
        Place.objects.filter(pk=place.pk).update(gone_by="")
    return {"freed": freed or 0}


def _tell_end(removal: Removal) -> None:
    place = removal.place
    if not removal.is_done:
        # It is still there, or what is left of it: whoever looks at the disk next sees.
        Place.objects.filter(pk=place.pk).update(gone_at=None, gone_by="")
        _tell(place, events.NOT_DELETED, removal.who, removal.error)
        return
    freed = f"{size_text(removal.freed or 0)} freed."
    told = freed if place.gone_by else "It was not there any more."
    _tell(place, events.DELETED, removal.who, f"{place.path}: {told}")


def _tell(place: Place, kind: str, who: str, message: str) -> None:
    """In the events of the run that made it, whose open pages then show it."""
    if job := place.artifact.job:
        lifecycle.record(job, kind, who=who, message=message)
        lifecycle.touch(job)
