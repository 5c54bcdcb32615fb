"""What is sent to an open page; viewers who have seen the same share one answer."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

import orjson
from django.db.models import Count, Max
from django.template.loader import render_to_string

from jobs.models import Job
from monitoring.page import live, panels, shown
from monitoring.page.figures import WIDE, news_shown
from monitoring.page.glance import glance
from monitoring.store import points

STOP = "monitoring/page/run_stop.html"
WITH_STATE = (
    "timing",
    "checkpoints",
    "comparison",
    "evaluation",
    "result",
)  # panels that may change with it
SHARED = 20  # changes; viewers that are not further apart share what is made for them


def shared(answer: Callable[..., Any], pk: int, uuid: UUID, seen: int, now: int, *more: Any) -> Any:
    """The answer, kept for other viewers unless this one is far behind: then it is long."""
    answer = answer if now - seen <= SHARED else answer.__wrapped__  # type: ignore[attr-defined]
    return answer(pk, uuid, seen, now, *more)


@lru_cache(maxsize=128)
def new_points(
    pk: int, uuid: UUID, seen: int, now: int, wanted: frozenset[str]
) -> tuple[int, list[str]]:
    """The page's next cursor, and its messages: points, and how far the run has come.

    Of a run with very many series a page is sent those that it wants.
    """
    job = job_of(pk, uuid)
    progress = fragment("progress", {"job": job, **glance(job)})
    if "charts" not in job.job_kind.panels:
        return now, [progress]
    news = points.since(job, seen)
    message = news_shown(news)
    if len(news.points) > WIDE:
        message["wide"] = True
        message["series"] = {k: v for k, v in message["series"].items() if k in wanted}
    return news.number, [orjson.dumps(message).decode(), progress]


@lru_cache(maxsize=128)
def new_samples(pk: int, uuid: UUID, seen: int, now: int) -> list[str]:
    samples = live.samples_since(pk, seen)
    if not samples:
        return []
    shown_samples = [live.sample_shown(sample) for sample in samples]
    news = {"type": "system", "last": samples[-1].pk, "samples": shown_samples}
    context = panels.system_at(job_of(pk, uuid), samples[-1])
    return [json.dumps(news), panel("system", context)]


@lru_cache(maxsize=128)
def new_state(pk: int, uuid: UUID, seen: int, now: int) -> list[str]:
    job = job_of(pk, uuid)
    context = shown.header_context(job)
    parts = [part("monitoring/page/run.html#header", context), part(STOP, context)]
    if "charts" in job.job_kind.panels:
        parts.append(part(f"{panels.template_of('charts')}#no_figures", context))
    for name in WITH_STATE:
        if name in job.job_kind.panels:
            parts.append(panel(name, panels.SHOWS[name](job)))
    return ["".join(parts)]


@dataclass(frozen=True)
class Told:
    """The events that a page shows: how many, and the last one's id."""

    count: int = 0
    last: int = 0


def events_of(pk: int) -> Told:
    facts = Job.objects.filter(pk=pk).aggregate(count=Count("events"), last=Max("events"))
    return Told(facts["count"], facts["last"] or 0)


@lru_cache(maxsize=128)
def new_events(pk: int, uuid: UUID, seen: Told, now: Told) -> list[str]:
    """The new ones alone where they come after those that the page shows; otherwise all."""
    job = job_of(pk, uuid)
    more = [panel("report", panels.report(job))] if "report" in job.job_kind.panels else []
    events = job.events
    new = list(events.filter(pk__gt=seen.last)[: panels.MOST_EVENTS])
    newest = events.filter(pk__lte=seen.last).aggregate(at=Max("at"))["at"]
    goes_on = newest is not None and len(new) == now.count - seen.count
    if goes_on and new and new[0].at >= newest:
        return [fragment("new_events", {"events": new}), *more]
    return [panel("events", {"job": job, **panels.events(job)}), *more]


def job_of(pk: int, uuid: UUID) -> Job:
    return Job.objects.select_related("machine", "owner", "after").get(pk=pk, uuid=uuid)


def panel(name: str, context: dict[str, Any]) -> str:
    """The part of a panel that changes."""
    return part(f"{panels.template_of(name)}#part", context)


def part(template: str, context: dict[str, Any]) -> str:
    return render_to_string(template, context | {"oob": True})


def fragment(name: str, context: dict[str, Any]) -> str:
    """Pieces that are only sent: on the page itself their parts stand in different places."""
    return render_to_string(f"monitoring/page/run_{name}.html", context)
