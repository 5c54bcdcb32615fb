"""Machines at a glance: each GPU, who has it, what it does, and what it costs.

Nothing is invented: what was not measured, or measured too long ago, is None.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from django.db.models import OuterRef, Prefetch, QuerySet, Subquery
from django.utils import timezone

from compute.machines.devices import devices_with
from compute.machines.load import FRESH
from compute.machines.users import Holder, Viewer, users
from compute.models import Machine, MachineSample
from compute.prices.table import PriceTable, card_of, price_table, total
from compute.sizing.devices import Device, Devices, of_members
from compute.sizing.gpus import Gpu

State = Literal["job", "other", "idle", "unknown"]
STATES: Mapping[State, str] = {
    "job": "has a job",
    "other": "in use, by no job of this site",
    "idle": "idle",
    "unknown": "no job; its use is not known",
}
# A card that does no more than this is idle: a driver alone takes some hundred megabytes.
IDLE_USE, IDLE_MEMORY = 5, 0.05  # percent; share of its memory


@dataclass(frozen=True)
class GpuNow:
    """One GPU. Memory is in bytes, ``use`` in percent, ``heat`` in °C, ``price``
    that of an hour. ``holder`` is the
    job that has it, if one has."""

    machine: Machine
    device: Device
    card: Gpu | None
    used: float | None
    use: float | None
    heat: float | None
    watts: float | None
    holder: Holder | None
    price: float | None

    @property
    def total(self) -> int | None:
        """As it was measured, else as the catalogue has it."""
        return self.device.memory_total or (self.card.memory if self.card else None)

    @property
    def free(self) -> float | None:
        return max(0, self.total - self.used) if self.total and self.used is not None else None

    @property
    def state(self) -> State:
        if self.holder:
            return "job"
        if self.use is None and self.used is None:
            return "unknown"
        is_full = bool(self.total) and (self.used or 0) > IDLE_MEMORY * (self.total or 0)
        return "other" if is_full or (self.use or 0) > IDLE_USE else "idle"

    @property
    def state_words(self) -> str:
        return STATES[self.state]


@dataclass(frozen=True)
class Glance:
    """A machine now. ``gpus`` is None while its GPUs are not known; ``per_hour`` is the price of
    the whole machine, None where somebody has yet to write it down. ``measured_at`` is when its
    GPUs were last measured, those of a group the longest ago."""

    machine: Any  # ``with_load``
    devices: Devices | None
    gpus: Sequence[GpuNow] | None
    per_hour: float | None
    measured_at: datetime | None

    @property
    def cards(self) -> list[Gpu | None] | None:
        """Of each GPU; None while its GPUs are not known."""
        return None if self.gpus is None else [gpu.card for gpu in self.gpus]

    @property
    def is_old(self) -> bool:
        """Whether it was measured once, and too long ago to say what it does now."""
        return self.measured_at is not None and timezone.now() - self.measured_at > FRESH

    @property
    def counts(self) -> dict[State, int]:
        return {state: sum(gpu.state == state for gpu in self.gpus or ()) for state in STATES}

    @property
    def idle(self) -> int:
        return self.counts["idle"]

    @property
    def idle_cost(self) -> float | None:
        """What its idle GPUs cost an hour; None where a price is missing, or nothing is idle."""
        prices = [gpu.price for gpu in self.gpus or () if gpu.state == "idle"]
        return total(prices) if prices else None

    @property
    def memory(self) -> tuple[float, float] | None:
        """Bytes in use, and in all; None unless both are known of every GPU."""
        used = [gpu.used for gpu in self.gpus or ()]
        have = [gpu.total for gpu in self.gpus or ()]
        if not used or None in used or None in have:
            return None
        return sum(filter(None, used)), sum(filter(None, have))

    @property
    def use(self) -> float | None:
        """The mean use of its GPUs in percent; None unless every one was measured."""
        uses = [gpu.use for gpu in self.gpus or ()]
        known = [use for use in uses if use is not None]
        return sum(known) / len(known) if known and len(known) == len(uses) else None

    @property
    def time_left(self) -> timedelta | None:
        """Until its rental ends; None where it has no end, or has ended."""
        ends = self.machine.rental_ends_at
        return ends - timezone.now() if ends and not self.machine.rental_is_over else None

    @property
    def cost_left(self) -> float | None:
        """What it costs until its rental ends."""
        if self.time_left is None or self.per_hour is None:
            return None
        return self.per_hour * self.time_left.total_seconds() / 3600


def with_load(machines: QuerySet[Machine]) -> QuerySet[Machine]:
    """Machines, each with the newest sample of its load and the time of that; groups with their
    members, which have it too."""
    members = Prefetch("memberships__machine", _loaded(Machine.objects.all()))
    return _loaded(machines).prefetch_related(members)


def _loaded(machines: QuerySet[Machine]) -> QuerySet[Machine]:
    newest = MachineSample.objects.filter(machine=OuterRef("pk")).order_by("-at")
    return machines.annotate(
        load=Subquery(newest.values("data")[:1]), measured_at=Subquery(newest.values("at")[:1])
    )


def glances_of(machines: Iterable[Any], viewer: Viewer | None) -> list[Glance]:
    """Of machines ``with_load``, by as many queries for many as for one. Jobs that the viewer may
    not see have no name; None may see all."""
    found = list(machines)
    single = {one.pk for machine in found for one in members_in(machine)}
    holders, prices = users().holders(single, viewer), price_table()
    return [glance_of(machine, holders, prices) for machine in found]


def glance_of(
    machine: Any, holders: Mapping[tuple[int, int], Holder], prices: PriceTable
) -> Glance:
    if machine.is_group:
        parts = [glance_of(one, holders, prices) for one in members_in(machine)]
        return _together(machine, parts, prices)
    devices = devices_with(machine, machine.load, machine.measured_at)
    if devices is None:
        return Glance(machine, None, None, prices.per_hour(machine), None)
    cards = [card_of(device) for device in devices.found]
    each = prices.of_gpus(machine, cards)
    measured = dict(_measured(machine))
    gpus = [
        GpuNow(
            machine=machine, device=device, card=card, price=price,
            holder=holders.get((machine.pk, device.index)), **measured.get(device.index, NOTHING),
        )
        for device, card, price in zip(devices.found, cards, each, strict=True)
    ]  # fmt: skip
    per_hour = prices.of_machines([(machine, cards)])
    return Glance(machine, devices, gpus, per_hour, machine.measured_at)


def _together(group: Any, parts: list[Glance], prices: PriceTable) -> Glance:
    devices = of_members([(part.machine.name, part.devices) for part in parts])
    gpus = [gpu for part in parts for gpu in part.gpus or ()]
    times = [part.measured_at for part in parts if part.measured_at]
    return Glance(
        machine=group,
        devices=devices,
        gpus=None if devices is None else gpus,
        per_hour=prices.of_machines((part.machine, part.cards) for part in parts),
        measured_at=min(times, default=None),
    )


MEASURED = {
    "used": "memory_used", "use": "util_percent", "heat": "temperature_c", "watts": "power_w",
}  # fmt: skip
NOTHING: dict[str, Any] = dict.fromkeys(MEASURED)


def _measured(machine: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    """What the newest sample says of each GPU, by its number; nothing where that is old."""
    if machine.measured_at is None or timezone.now() - machine.measured_at > FRESH:
        return
    for gpu in (machine.load or {}).get("gpus") or ():
        yield gpu["index"], {name: gpu.get(told) for name, told in MEASURED.items()}


def members_in(machine: Any) -> list[Any]:
    """The machines of a group, and a single machine itself."""
    if not machine.is_group:
        return [machine]
    return [place.machine for place in machine.memberships.all()]
