"""What people do with the queue: hold and release a job, move it, give it another priority.

Each verb returns true when it changed anything, and raises ``QueueError`` when it may not be done.
All of them take the lock on the machine, as claims do.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from jobs import events, lifecycle
from jobs.models import Job, Priority, Status
from jobs.queue import claims
from jobs.work import kick

Place = Literal["up", "down", "first", "last"]


class QueueError(Exception):
    """It may not be done. The message is a sentence for the user."""


def hold(job: Job, by: User, why: str = "") -> bool:
    """Let a waiting job wait on until it is released."""
    with _queued(job, by):
        if job.held_at:
            return False
        lifecycle.touch(job, held_at=timezone.now(), held_by=by.get_username(), held_why=why)
        lifecycle.record(job, events.HELD, who=by.get_username(), message=why)
    return True


def release(job: Job, by: User, why: str = "") -> bool:
    """Let a held job start when it fits. What staff hold, only staff release."""
    with _queued(job, by):
        if not job.held_at:
            return False
        if not by.is_staff and job.held_by != by.get_username():
            raise QueueError(f"Job {job.pk} is held by {job.held_by}, who can release it.")
        lifecycle.touch(job, **claims.NOT_HELD)
        lifecycle.record(job, events.RELEASED, who=by.get_username(), message=why)
        kick(job.machine_id)
    return True


def set_priority(job: Job, by: User, priority: Priority) -> bool:
    """Move a waiting job to another priority, where it takes its owner's turn anew."""
    with _queued(job, by):
        if priority == job.priority:
            return False
        if priority > Priority.NORMAL and not by.is_staff:
            raise QueueError("High priority is for staff to give.")
        lifecycle.touch(job, priority=priority, position=None)
        claims.take_turn(job)
        lifecycle.record(
            job, events.PRIORITY, who=by.get_username(), message=priority.label.lower()
        )
    return True


def move_before(job: Job, by: User, other: Job) -> bool:
    """Move a waiting job directly before another of the same machine and priority."""
    return _move_beside(job, by, other, 0)


def move_after(job: Job, by: User, other: Job) -> bool:
    """Move a waiting job directly behind another of the same machine and priority."""
    return _move_beside(job, by, other, 1)


def move_to(job: Job, by: User, place: Place) -> bool:
    """Move a waiting job one place up or down, or to the head or the end."""
    with _queued(job, by):
        line = _movable(job, by)
        now, last = line.index(job), len(line) - 1
        places = {"up": max(0, now - 1), "down": min(last, now + 1), "first": 0, "last": last}
        return _arrange(job, by, line, places[place])


def _move_beside(job: Job, by: User, other: Job, behind: int) -> bool:
    with _queued(job, by):
        line = _movable(job, by)
        if other not in line:
            raise QueueError(_not_in_line(job, other))
        rest = [each for each in line if each != job]
        place = line.index(job) if other == job else rest.index(other) + behind
        return _arrange(job, by, line, place)


@contextmanager
def _queued(job: Job, by: User) -> Iterator[None]:
    """The job as it is now, with its queue locked; refused to whoever it is not for."""
    with transaction.atomic():
        claims.locked(job.machine_id)
        job.refresh_from_db()
        if not by.is_staff and job.owner_id != by.pk:
            raise QueueError(f"Job {job.pk} is {job.owner}'s.")
        if job.status != Status.QUEUED:
            raise QueueError(f"Job {job.pk} is {job.stands}: it is not waiting.")
        yield


def _movable(job: Job, by: User) -> list[Job]:
    """The jobs among which one may be moved: all of its priority, or only the user's own."""
    line = claims.same_priority(job)
    return line if by.is_staff else [each for each in line if each.owner_id == by.pk]


def _arrange(job: Job, by: User, line: Sequence[Job], place: int) -> bool:
    """Put the job at a place among those of ``line``, which share their places in the whole line:
    nobody else's job moves."""
    order = [each for each in line if each != job]
    order.insert(place, job)
    if order == line:
        return False
    whole, moved = claims.same_priority(job), iter(order)
    claims.renumber(next(moved) if each in line else each for each in whole)
    job.refresh_from_db()
    lifecycle.touch(job)
    lifecycle.record(job, events.MOVED, who=by.get_username(), message=_told(order, place))
    return True


def _told(order: Sequence[Job], place: int) -> str:
    return f"before job {order[place + 1].pk}" if place + 1 < len(order) else "to the end"


def _not_in_line(job: Job, other: Job) -> str:
    if other.status != Status.QUEUED:
        return f"Job {other.pk} is {other.stands}: it is not waiting."
    if other.machine_id != job.machine_id:
        return f"Job {other.pk} waits for another machine."
    if other.priority != job.priority:
        priorities = f"{other.get_priority_display()} and {job.get_priority_display()}".lower()
        return f"Their priorities differ ({priorities}): give them the same one first."
    return f"Job {other.pk} is {other.owner}'s: you can move a job among your own."
