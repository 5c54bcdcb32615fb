"""How far jobs have come: looked at in one query for all pages that this process has open."""

import asyncio
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

from channels.db import database_sync_to_async
from django.db.models import OuterRef, Subquery

from compute.runners.base import RunnerError
from jobs.models import Event, Job
from monitoring.models import SystemSample
from monitoring.page import live

FRESH = 0.2  # seconds for which a look is good; pages ask more often than that, all together


@dataclass(frozen=True)
class Stamp:
    """What differs when there is anything new to show of a job."""

    uuid: UUID
    attempt: int
    revision: int
    points: int
    sample: int
    event: int
    log: int


class Lookout:
    """Of one event loop, and so of one process."""

    def __init__(self) -> None:
        self.watched = Counter[int]()
        self.stamps: dict[int, Stamp] = {}
        self.jobs: dict[int, Job] = {}
        self.looked_at = 0.0
        self.lock = asyncio.Lock()

    def watch(self, pk: int) -> None:
        self.watched[pk] += 1
        self.expire()

    def leave(self, pk: int) -> None:
        self.watched -= Counter([pk])

    def expire(self) -> None:
        """Something has happened: the next page that asks looks anew."""
        self.looked_at = 0.0

    async def stamp_of(self, pk: int) -> Stamp | None:
        """The stamp of a job that is watched, or None when it is gone."""
        async with self.lock:
            if time.monotonic() - self.looked_at > FRESH:
                self.looked_at = time.monotonic()
                self.stamps = await database_sync_to_async(self.look)(list(self.watched))
        return self.stamps.get(pk)

    def look(self, pks: Collection[int]) -> dict[int, Stamp]:
        rows = Job.objects.filter(pk__in=pks).order_by().values_list(
            "pk", "uuid", "attempt", "revision", "metric_store__number",
            newest(SystemSample), newest(Event),
        )  # fmt: skip
        found = {pk: facts for pk, *facts in rows}
        self.jobs = {pk: job for pk, job in self.jobs.items() if is_as(job, found.get(pk))}
        missing = found.keys() - self.jobs.keys()
        self.jobs |= Job.objects.select_related("machine").in_bulk(missing)
        return {pk: stamp(facts, self.jobs[pk]) for pk, facts in found.items() if pk in self.jobs}


def stamp(facts: list[Any], job: Job) -> Stamp:
    uuid, attempt, revision, number, sample, event = facts
    return Stamp(uuid, attempt, revision, number or 0, sample or 0, event or 0, log_of(job))


def newest(model: type[SystemSample] | type[Event]) -> Subquery:
    """The id of the job's last one."""
    return Subquery(model.objects.filter(job=OuterRef("pk")).order_by("-pk").values("pk")[:1])


def is_as(job: Job, facts: list[Any] | None) -> bool:
    return facts is not None and [job.uuid, job.attempt, job.revision] == facts[:3]


def log_of(job: Job) -> int:
    try:
        return live.log_size(job)
    except RunnerError:
        return 0


_lookouts: WeakKeyDictionary[asyncio.AbstractEventLoop, Lookout] = WeakKeyDictionary()


def lookout() -> Lookout:
    """That of the running event loop."""
    return _lookouts.setdefault(asyncio.get_running_loop(), Lookout())
