"""What apps above do when a job has completed, or when checkpoints of one are known. They register
themselves; here nobody knows what they do.

They are called by a worker, after the fact. A worker may die on the way: what is overdue is told
once more, so that to be told twice must be harmless.
"""

from collections.abc import Collection
from typing import Any, Protocol

Job = Any  # this module lies below its model


class Listener(Protocol):
    """It is told of the jobs that it wants to be told of."""

    def wants_completed(self, job: Job) -> bool:
        """Whether it does something when this job has completed. It is quick."""

    def completed(self, job: Job) -> None:
        """A job has completed. It may ask the job's machine."""

    def overdue(self) -> Collection[int]:
        """Some jobs that have completed, and of which it was not told."""

    def wants_saved(self, job: Job) -> bool:
        """Whether it does something with this job's checkpoints. It is quick."""

    def saved(self, job: Job) -> None:
        """The checkpoints of a job were listed: some may be new."""


_listeners: list[Listener] = []


def register(listener: Listener) -> None:
    _listeners.append(listener)


def want_completed(job: Job) -> bool:
    return any(each.wants_completed(job) for each in _listeners)


def completed(job: Job) -> None:
    for each in _listeners:
        if each.wants_completed(job):
            each.completed(job)


def overdue() -> set[int]:
    return {pk for each in _listeners for pk in each.overdue()}


def want_saved(job: Job) -> bool:
    return any(each.wants_saved(job) for each in _listeners)


def saved(job: Job) -> None:
    for each in _listeners:
        if each.wants_saved(job):
            each.saved(job)
