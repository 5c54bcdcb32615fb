"""The GPUs of one machine, for its page: a part that is sorted, filtered and paged by itself."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.paginator import Paginator

from compute import glance
from compute.ending import Ending, seconds_left
from compute.glance import Glance, GpuNow
from compute.machines.users import Viewer
from compute.models import Machine
from platform_site.counts import money_text, size_text
from platform_site.htmx import HtmxHttpRequest
from platform_site.templatetags.ui import duration

PAGE = 32
TARGETS, TEMPLATE = ("machine-gpus", "gpu-rows"), "compute/pages/gpus.html"
STATES = {"job": "With a job", "other": "In use by others", "idle": "Idle", "unknown": "Not known"}
SORTS: dict[str, Callable[[GpuNow], Any]] = {
    "gpu": lambda gpu: (gpu.machine.name, gpu.device.index),
    "use": lambda gpu: gpu.use,
    "used": lambda gpu: gpu.used,
    "free": lambda gpu: gpu.free,
    "job": lambda gpu: gpu.holder.name or None if gpu.holder else None,
    "price": lambda gpu: gpu.price,
}


def glance_at(machine: Machine, viewer: Viewer | None) -> Glance:
    found = glance.with_load(Machine.objects.filter(pk=machine.pk))
    return glance.glances_of(found, viewer)[0]


def context_of(machine: Machine, request: HtmxHttpRequest) -> dict[str, Any]:
    now = glance_at(machine, request.user)
    sort, state = request.GET.get("sort", ""), request.GET.get("gpus", "")
    sort = sort if sort.removeprefix("-") in SORTS else "gpu"
    shown = [gpu for gpu in now.gpus or () if state not in STATES or gpu.state == state]
    return {
        "now": now,
        "page": Paginator(in_order(shown, sort), PAGE).get_page(request.GET.get("page")),
        "sort": sort,
        "state": state if state in STATES else "",
        "states": STATES.items(),
    }


def in_order(gpus: list[GpuNow], sort: str) -> list[GpuNow]:
    """Those of which it is not known come last."""
    by = SORTS[sort.removeprefix("-")]
    known = [gpu for gpu in gpus if by(gpu) is not None]
    known.sort(key=by, reverse=sort.startswith("-"))
    return known + [gpu for gpu in gpus if by(gpu) is None]


def as_json(now: Glance, endings: Sequence[Ending] = ()) -> dict[str, Any]:
    """``endings`` are what waits for the machine, and its drafts, where its rental has an end."""
    ends = now.machine.rental_ends_at
    return {
        "machine": now.machine.name,
        "currency": settings.TRAINYARD_CURRENCY,
        "per_hour": now.per_hour,
        "cost_left": now.cost_left,
        "idle": now.idle,
        "idle_per_hour": now.idle_cost,
        "measured_at": now.measured_at and now.measured_at.isoformat(),
        "rental_ends_at": ends and ends.isoformat(),
        "seconds_left": seconds_left(now.machine),
        "before_rental_ends": [ending.as_json() for ending in endings],
        "gpus": None if now.gpus is None else [_gpu_json(gpu) for gpu in now.gpus],
    }


def _gpu_json(gpu: GpuNow) -> dict[str, Any]:
    return {
        "machine": gpu.machine.name,
        "gpu": gpu.device.index,
        "name": gpu.device.name,
        "card": gpu.card.slug if gpu.card else None,
        "state": gpu.state,
        "job": gpu.holder.name if gpu.holder else None,
        "use_percent": gpu.use,
        "memory_used": gpu.used,
        "memory_total": gpu.total,
        "per_hour": gpu.price,
    }


def as_text(now: Glance, endings: Sequence[Ending] = ()) -> str:
    return "\n".join([_gpus(now), *_before_end(now.machine, endings)])


def _gpus(now: Glance) -> str:
    if now.gpus is None:
        return f"Which GPUs {now.machine} has is not known yet: manage.py machine check NAME"
    return "\n".join(_line(gpu) for gpu in now.gpus) or f"{now.machine} has no GPU."


def _before_end(machine: Machine, endings: Sequence[Ending]) -> Iterator[str]:
    left = seconds_left(machine)
    if left is None:
        return
    yield f"\nIts rental ends in {duration(timedelta(seconds=left))}."
    if endings:
        yield "What waits, and drafts, by estimate, each as if it started now and alone:"
    yield from map(_ending, endings)


def _ending(ending: Ending) -> str:
    job = ending.job
    told = f"job {job.id} ({job.name}), {job.stands}: {ending.words}"
    if whole := ending.whole:
        low, likely, high = (duration(timedelta(seconds=each)) for each in astuple(whole))
        told += f", its steps take {likely} ({low} to {high})"
    if ending.steps:
        least, about, most = ending.steps
        of = "" if job.steps is None else f" of {job.steps}"
        told += f", {about}{of} steps fit ({least} to {most})"
    return f"{told}. {job.why}".rstrip()


def _line(gpu: GpuNow) -> str:
    used, total = (size_text(size) if size is not None else "?" for size in (gpu.used, gpu.total))
    use = "?" if gpu.use is None else f"{gpu.use:.0f}"
    costs = "" if gpu.price is None else money_text(gpu.price, settings.TRAINYARD_CURRENCY)
    who = gpu.holder.name if gpu.holder else gpu.state_words
    return (
        f"{gpu.machine.name:<20} {gpu.device.index:>3} {gpu.device.name:<28} {use:>3} %  "
        f"{used:>9} of {total:<9} {costs:>10}  {who}"
    )
