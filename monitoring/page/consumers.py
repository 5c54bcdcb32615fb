"""Websockets: a page says what it has seen, and is sent the rest for as long as it is open."""

import asyncio
import json
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.contrib.auth.models import AnonymousUser, User
from django.template.loader import render_to_string

from compute.models import MachineSample
from compute.runners.base import RunnerError
from jobs.models import Event, Job
from monitoring.page import live, news, shown
from monitoring.page.figures import WIDE
from monitoring.page.lookout import Stamp, lookout
from monitoring.page.news import Told, shared

log = logging.getLogger(__name__)
LOOK_EVERY = 0.3  # seconds between looks when no ping comes
ALIVE_EVERY = 10.0  # seconds of silence after which the page is told that all is well
NO_LOGIN, NOT_THERE, ERROR = 4401, 4404, 1011


class NewsConsumer(AsyncWebsocketConsumer):
    """Looks for news several times a second, and at once when it is pinged."""

    look_every = LOOK_EVERY
    user: User
    pinged: asyncio.Event

    async def connect(self) -> None:
        user = self.scope.get("user") or AnonymousUser()
        await self.accept()
        if not isinstance(user, User):
            await self.close(NO_LOGIN)
            return
        self.user = user
        self.pinged = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        await self.opened()

    async def opened(self) -> None:
        raise NotImplementedError

    async def news(self) -> list[str] | None:
        """The messages to send now, or None when there will be no more. Called in turn."""
        raise NotImplementedError

    def begin(self) -> None:
        if self.task is None:
            self.task = asyncio.create_task(self.tell_news())

    async def tell_news(self) -> None:
        try:
            await self._tell_news()
        except Exception:
            # The page reconnects and says what it has seen, so nothing is lost.
            log.exception("A page's connection is closed after an error")
            await self.close(ERROR)

    async def _tell_news(self) -> None:
        said = time.monotonic()
        while True:
            messages = await self.news()
            if messages is None:
                await self.close()
                return
            for message in messages:
                await self.send(message)
                said = time.monotonic()
            if time.monotonic() - said > ALIVE_EVERY:
                await self.send(json.dumps({"type": "alive"}))
                said = time.monotonic()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.pinged.wait(), self.look_every)
            self.pinged.clear()

    async def look(self, event: dict[str, Any]) -> None:
        self.pinged.set()

    async def disconnect(self, code: int) -> None:
        task = getattr(self, "task", None)
        if task:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


class RunConsumer(NewsConsumer):
    async def opened(self) -> None:
        self.pk: int = self.scope["url_route"]["kwargs"]["pk"]
        if not await self.is_there():
            await self.close(NOT_THERE)
            return
        self.seen, self.told = live.Seen(), Told()
        self.wanted: frozenset[str] = frozenset()
        self.panels: Sequence[str] = ()  # that the page has
        self.stamp: Stamp | None = None  # all that it stands for was sent
        self.may_change = True
        lookout().watch(self.pk)
        await self.channel_layer.group_add(live.group_of(self.pk), self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """The page's cursors: what it shows already, at the start and after a lost connection."""
        try:
            said = json.loads(text_data or "")
            if "want" in said:
                self.wanted = frozenset(map(str, said["want"][:WIDE]))
                return
            self.seen = live.Seen.said(said)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            return
        self.begin()

    async def disconnect(self, code: int) -> None:
        if hasattr(self, "seen"):
            lookout().leave(self.pk)
            await self.channel_layer.group_discard(live.group_of(self.pk), self.channel_name)
        await super().disconnect(code)

    async def look(self, event: dict[str, Any]) -> None:
        lookout().expire()
        await super().look(event)

    @database_sync_to_async
    def is_there(self) -> bool:
        return Job.objects.visible_to(self.user).filter(pk=self.pk).exists()

    async def news(self) -> list[str] | None:
        stamp = await lookout().stamp_of(self.pk)
        if stamp is not None and stamp == self.stamp:
            return [] if self.may_change else None
        return await self.news_of(stamp) if stamp and await self.is_there() else None

    @database_sync_to_async
    def news_of(self, stamp: Stamp) -> list[str] | None:
        self.stamp = stamp
        if stamp.attempt != self.seen.attempt:
            # Another log, and curves that go back: the page is read anew.
            self.seen.attempt = stamp.attempt
            return [json.dumps({"type": "reload"})]
        job = news.job_of(self.pk, stamp.uuid)
        self.panels = job.job_kind.panels
        self.may_change, events = job.may_change, self.event_news(stamp)
        messages = [
            *self.log_news(job),
            *self.point_news(stamp),
            *self.sample_news(stamp),
            *self.state_news(stamp),
            *events,
        ]
        # An ended run has no more news once all of it was sent.
        return messages if messages or job.may_change else None

    def log_news(self, job: Job) -> list[str]:
        if "log" not in self.panels:
            return []
        try:
            if live.log_size(job) == self.seen.log:
                return []
            part = live.log_from(job, self.seen.log)
        except RunnerError:
            return []
        self.seen.log = part.end
        return [json.dumps({"type": "log", **asdict(part)})] if part.text else []

    def point_news(self, stamp: Stamp) -> list[str]:
        if stamp.points == self.seen.points:
            return []
        seen, now = self.seen.points, stamp.points
        self.seen.points, messages = shared(
            news.new_points, self.pk, stamp.uuid, seen, now, self.wanted
        )
        return list(messages)

    def sample_news(self, stamp: Stamp) -> list[str]:
        if "system" not in self.panels or stamp.sample <= self.seen.sample:
            return []
        seen, self.seen.sample = self.seen.sample, stamp.sample
        return list(shared(news.new_samples, self.pk, stamp.uuid, seen, stamp.sample))

    def state_news(self, stamp: Stamp) -> list[str]:
        if stamp.revision <= self.seen.revision:
            return []
        seen, self.seen.revision = self.seen.revision, stamp.revision
        state = shared(news.new_state, self.pk, stamp.uuid, seen, stamp.revision)
        return list(state)

    def event_news(self, stamp: Stamp) -> list[str]:
        """Looked for also when the state has changed: the last event need not have come last."""
        if "events" not in self.panels:
            return []
        if (stamp.event, stamp.revision) == (self.seen.event, self.seen.revision):
            return []
        self.seen.event, told = stamp.event, news.events_of(self.pk)
        if told == self.told:
            return []
        before, self.told = self.told, told
        return list(news.new_events(self.pk, stamp.uuid, before, told))


class OverviewConsumer(NewsConsumer):
    look_every = 1.0

    async def opened(self) -> None:
        self.stamp: object = None
        self.begin()

    @database_sync_to_async
    def news(self) -> list[str]:
        stamp = self._stamp()
        if stamp == self.stamp:
            return []
        self.stamp = stamp
        context = shown.board(self.user) | {"oob": True}
        return [render_to_string("monitoring/page/dashboard.html#board", context)]

    def _stamp(self) -> object:
        """Changes whenever the board may look different."""
        jobs = Job.objects.visible_to(self.user)
        active = list(jobs.active().values_list("pk", "revision", "step"))
        last_event = Event.objects.order_by("-pk").values_list("pk").first()
        last_sample = MachineSample.objects.order_by("-pk").values_list("pk").first()
        return active, last_event, last_sample


class NobodyConsumer(AsyncWebsocketConsumer):
    """At an address where there is nothing."""

    async def connect(self) -> None:
        await self.accept()
        await self.close(NOT_THERE)
