"""Websockets: a page says what it has seen, and is sent the rest for as long as it is open."""

import asyncio
import json
import logging
import time
from contextlib import suppress
from dataclasses import asdict
from functools import lru_cache
from typing import Any
from uuid import UUID

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.contrib.auth.models import AnonymousUser, User
from django.template.loader import render_to_string

from compute.models import MachineSample
from compute.runners.base import RunnerError
from jobs.models import Event, Job
from monitoring.page import live, shown

log = logging.getLogger(__name__)
LOOK_EVERY = 0.3  # seconds between looks when no ping comes
SHARED = 20  # revisions; viewers that are not further apart share what is rendered
ALIVE_EVERY = 10.0  # seconds of silence after which the page is told that all is well
PARTS = ("header", "figures", "system", "events", "checkpoints")
NO_LOGIN, NOT_THERE, ERROR = 4401, 4404, 1011


class FollowingConsumer(AsyncWebsocketConsumer):
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
            self.task = asyncio.create_task(self.follow())

    async def follow(self) -> None:
        try:
            await self._follow()
        except Exception:
            # The page reconnects and says what it has seen, so nothing is lost.
            log.exception("A page's connection is closed after an error")
            await self.close(ERROR)

    async def _follow(self) -> None:
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


class RunConsumer(FollowingConsumer):
    async def opened(self) -> None:
        self.pk: int = self.scope["url_route"]["kwargs"]["pk"]
        if await self.job() is None:
            await self.close(NOT_THERE)
            return
        self.seen = live.Seen()
        await self.channel_layer.group_add(live.group_of(self.pk), self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """The page's cursor: what it shows already, at the start and after a lost connection."""
        try:
            said = json.loads(text_data or "")
            attempt = int(said.get("attempt", 1))
            self.seen = live.Seen(max(0, int(said["revision"])), max(0, int(said["log"])), attempt)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            return
        self.begin()

    async def disconnect(self, code: int) -> None:
        if hasattr(self, "seen"):
            await self.channel_layer.group_discard(live.group_of(self.pk), self.channel_name)
        await super().disconnect(code)

    @database_sync_to_async
    def job(self) -> Job | None:
        return Job.objects.visible_to(self.user).filter(pk=self.pk).first()

    @database_sync_to_async
    def news(self) -> list[str] | None:
        jobs = Job.objects.visible_to(self.user).select_related("machine", "owner", "after")
        job = jobs.filter(pk=self.pk).first()
        if job is None:
            return None
        if job.attempt != self.seen.attempt:
            # Another log, and curves that go back: the page is read anew.
            self.seen.attempt = job.attempt
            return [json.dumps({"type": "reload"})]
        messages = self.log_news(job)
        if job.revision > self.seen.revision:
            messages += self.change_news(job)
            self.seen.revision = job.revision
        # An ended run has no more news once all of it was sent.
        return messages if messages or job.may_change else None

    def log_news(self, job: Job) -> list[str]:
        try:
            if live.log_size(job) == self.seen.log:
                return []
            part = live.log_from(job, self.seen.log)
        except RunnerError:
            return []
        self.seen.log = part.end
        return [json.dumps({"type": "log", **asdict(part)})] if part.text else []

    def change_news(self, job: Job) -> list[str]:
        since, now = self.seen.revision, job.revision
        # A page that is far behind is on its own, and its long answer is not worth keeping.
        answer = changes if now - since <= SHARED else changes.__wrapped__
        return list(answer(job.pk, job.uuid, since, now))


@lru_cache(maxsize=64)
def changes(pk: int, uuid: UUID, since: int, revision: int) -> tuple[str, ...]:
    """What changed on a job's page from one revision to another; many viewers share one answer."""
    job = Job.objects.select_related("machine", "owner", "after").get(pk=pk, uuid=uuid)
    messages = []
    if points := live.points_since(job, since):
        news = {"type": "points", "revision": revision, "series": points}
        messages.append(json.dumps(news))
    if samples := live.system_since(job, since):
        messages.append(json.dumps({"type": "system", "samples": samples}))
    context = shown.live_context(job) | {"oob": True}
    html = (render_to_string(f"monitoring/page/run.html#{part}", context) for part in PARTS)
    return (*messages, "".join(html))


class OverviewConsumer(FollowingConsumer):
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
        active = list(jobs.holding_slot().values_list("pk", "revision"))
        last_event = Event.objects.order_by("-pk").values_list("pk").first()
        last_sample = MachineSample.objects.order_by("-pk").values_list("pk").first()
        return active, last_event, last_sample
