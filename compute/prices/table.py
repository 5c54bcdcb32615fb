"""The price table: what an hour of a card, or of a machine, costs. People write it down."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from compute import events
from compute.machines import history
from compute.machines.devices import devices_of
from compute.machines.groups import members_of
from compute.models import Machine, Price
from compute.sizing.devices import Device, Devices
from compute.sizing.gpus import Gpu, UnknownGpu, find
from platform_site.counts import money_text

# A machine and the cards of its GPUs: None for a card that the catalogue lacks, and for all of them
# where nobody knows them.
Part = tuple[Machine, Sequence[Gpu | None] | None]


@dataclass(frozen=True)
class PriceTable:
    """Prices of an hour: ``cards`` of one GPU, by the card's slug in the catalogue; ``machines`` of
    a whole machine, by its id."""

    cards: Mapping[str, Price]
    machines: Mapping[int, Price]

    def per_gpu_hour(self, card: str) -> float | None:
        """Of one GPU of a card; None where nobody wrote it down."""
        price = self.cards.get(card)
        return float(price.per_hour) if price else None

    def per_hour(self, machine: Machine) -> float | None:
        """Of a whole machine that has a price of its own; None for any other."""
        price = self.machines.get(machine.pk)
        return float(price.per_hour) if price else None

    def of_gpus(self, machine: Machine, cards: Sequence[Gpu | None]) -> list[float | None]:
        """Of each GPU of a machine, by its card: an equal share of the machine's own price, else
        the price of the card; None where neither is written down."""
        if (whole := self.per_hour(machine)) is not None:
            return [whole / len(cards) for _ in cards]
        return [self.per_gpu_hour(card.slug) if card else None for card in cards]

    def of_machines(self, parts: Iterable[Part]) -> float | None:
        """Of machines together: each one's own price, else those of its cards; None where one of
        them is not known."""
        return total(self._of_machine(*part) for part in parts)

    def _of_machine(self, machine: Machine, cards: Sequence[Gpu | None] | None) -> float | None:
        whole = self.per_hour(machine)
        return total(self.of_gpus(machine, cards)) if whole is None and cards else whole


def total(amounts: Iterable[float | None]) -> float | None:
    """Their sum; None where one of them is not known."""
    found = list(amounts)
    known = [amount for amount in found if amount is not None]
    return sum(known) if len(known) == len(found) else None


def price_table() -> PriceTable:
    """The table as it is now, by one query."""
    prices = list(Price.objects.all())
    return PriceTable(
        cards={price.card: price for price in prices if price.card},
        machines={price.machine_id: price for price in prices if price.machine_id},
    )


def card_of(device: Device) -> Gpu | None:
    """The card of the catalogue that a device is; None where that is not known.

    The GPUs of a Ray cluster are named with their node: ``NVIDIA L4 (10.0.0.7)``.
    """
    name = re.sub(r" \([^()]*\)$", "", device.name)
    try:
        return find(name) if name else None
    except UnknownGpu:
        return None


def parts_of(group: Machine) -> list[Part]:
    """The machines of a group, each with the cards of its GPUs."""
    machines = [member.machine for member in members_of(group)]
    return [(machine, _cards_in(devices_of(machine))) for machine in machines]


def _cards_in(devices: Devices | None) -> list[Gpu | None] | None:
    return [card_of(device) for device in devices.found] if devices else None


def keep(of: str | Machine, per_hour: Decimal | None, *, who: str = "") -> None:
    """Write down what an hour of a card, by its slug, or of a machine costs; None forgets it."""
    subject: dict[str, Any] = {"card": of} if isinstance(of, str) else {"machine": of}
    with transaction.atomic():
        if per_hour is None:
            Price.objects.filter(**subject).delete()
        else:
            written = {"per_hour": per_hour, "changed_at": timezone.now(), "changed_by": who}
            Price.objects.update_or_create(**subject, defaults=written)
        if isinstance(of, Machine):
            history.record(of, events.PRICE_SET, told(per_hour), who=who)


def told(per_hour: Decimal | None) -> str:
    """The price of a machine in a sentence."""
    if per_hour is None:
        return "It has no price of its own any more."
    return f"{money_text(float(per_hour), settings.TRAINYARD_CURRENCY)} an hour."
