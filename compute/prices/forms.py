"""The price table as a form: a field for each card of the catalogue and for each machine."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator

from compute.models import HIGHEST_PRICE, Machine, Price
from compute.prices import table
from compute.sizing.gpus import Gpu, catalogue

RANGE = f"A price of an hour is from 0 to {HIGHEST_PRICE:,}."


@dataclass(frozen=True)
class Row:
    """A line of the table: what has the price, its field, and the price that is kept."""

    of: Gpu | Machine
    field: forms.BoundField
    price: Price | None


class PriceField(forms.DecimalField):
    def __init__(self, label: str) -> None:
        super().__init__(
            required=False,
            label=label,
            max_digits=11,
            decimal_places=4,
            validators=[MinValueValidator(0, RANGE), MaxValueValidator(HIGHEST_PRICE, RANGE)],
            error_messages={"invalid": "Write a number, such as 2.10.", "max_digits": RANGE,
                            "max_whole_digits": RANGE},
            widget=forms.TextInput({"inputmode": "decimal", "autocomplete": "off"}),
        )  # fmt: skip


class PriceForm(forms.Form):
    """An empty field is no price. Only what its user changed is written, since others may have
    the table open as well; a command, which was shown nothing, gives ``only`` what it changes."""

    def __init__(self, data: Any = None, *, only: Mapping[str, str] | None = None) -> None:
        super().__init__(data if only is None else {**only})
        self.table = table.price_table()
        self.cards = catalogue()
        kept = Machine.objects.kept().exclude(kind=Machine.Kind.GROUP)
        self.machines = {field_of(machine): machine for machine in kept}
        for slug, card in self.cards.items():
            self._add(f"card-{slug}", card.name, self.table.cards.get(slug))
        for name, machine in self.machines.items():
            self._add(name, machine.name, self.table.machines.get(machine.pk))
        if only is not None:
            self.fields = {name: self.fields[name] for name in only}

    def _add(self, name: str, label: str, price: Price | None) -> None:
        field = PriceField(label)
        field.initial = price.text if price else None
        # A form that was not sent by the page, as by a test, shows nothing of its own.
        shown = not self.is_bound or self.add_initial_prefix(name) in self.data
        field.show_hidden_initial = shown
        self.fields[name] = field

    @property
    def card_rows(self) -> list[Row]:
        prices = self.table.cards
        return [Row(card, self[f"card-{slug}"], prices.get(slug))
                for slug, card in self.cards.items()]  # fmt: skip

    @property
    def machine_rows(self) -> list[Row]:
        prices = self.table.machines
        return [Row(machine, self[name], prices.get(machine.pk))
                for name, machine in self.machines.items()]  # fmt: skip

    @property
    def changes(self) -> Iterator[tuple[str | Machine, Decimal | None]]:
        """What is to be written, of a valid form."""
        for name in self.changed_data:
            of = self.machines.get(name) or name.removeprefix("card-")
            yield of, self.cleaned_data[name]

    def save(self, *, who: str) -> int:
        """Keep what was changed; how many prices that are."""
        changes = list(self.changes)
        for of, per_hour in changes:
            table.keep(of, per_hour, who=who)
        return len(changes)


def field_of(machine: Machine) -> str:
    return f"machine-{machine.pk}"
