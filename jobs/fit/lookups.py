"""What estimates of many jobs look up: each thing once, however many jobs it is about."""

from collections.abc import Sequence
from functools import cached_property

from compute.models import Machine
from compute.prices.table import PriceTable, price_table
from compute.sizing.learning import Correction
from compute.sizing.question import Lengths, Question
from jobs.fit.answers import Run, runs_of, with_answers
from jobs.fit.learned import correction_for, taught_by
from jobs.fit.pricing import price_of
from jobs.fit.sources import Cards, NotKnown, cards_of, lengths_of
from jobs.models import Job
from jobs.verl.spec import TrainSpec

# All that the lengths of a job's data are found by.
OF_DATA = ("train_files", "val_files")


class Lookups:
    """What was found so far. Others change it meanwhile: make a new one for each request."""

    def __init__(self, without: Job | None = None) -> None:
        """``without`` is a job whose own run teaches nothing."""
        self._without = without
        self._runs: dict[object, Sequence[Run]] = {}
        self._cards: dict[int, Cards | NotKnown] = {}
        self._prices: dict[int, float | None] = {}
        self._lengths: dict[object, Lengths | None] = {}
        self._corrections: dict[tuple[str, str], Correction | None] = {}

    @cached_property
    def prices(self) -> PriceTable:
        return price_table()

    def cards(self, machine: Machine) -> Cards:
        """As ``cards_of``. Raises ``NotKnown``."""
        if machine.pk not in self._cards:
            self._cards[machine.pk] = _cards_or_why(machine)
        found = self._cards[machine.pk]
        if isinstance(found, NotKnown):
            raise NotKnown(str(found), found.field)
        return found

    def price(self, machine: Machine) -> float | None:
        """Of one GPU of the machine for an hour, as ``price_of``. Raises ``NotKnown``."""
        if machine.pk not in self._prices:
            cards = self.cards(machine)
            self._prices[machine.pk] = price_of(cards.gpu, machine, cards.count, self.prices)
        return self._prices[machine.pk]

    def lengths(self, spec: TrainSpec, family: str) -> Lengths | None:
        """As ``lengths_of``, with answers as long as those of earlier runs with such a model."""
        key = (spec.kind, *(spec.values.get(name) for name in OF_DATA))
        if key not in self._lengths:
            self._lengths[key] = lengths_of(spec)
        return with_answers(self._lengths[key], spec, self._runs_of(spec, family))

    def _runs_of(self, spec: TrainSpec, family: str) -> Sequence[Run]:
        names = (*OF_DATA, "model_path")
        key = (spec.kind, family, *(spec.values.get(name) for name in names))
        if key not in self._runs:
            self._runs[key] = runs_of(spec, family, self._without)
        return self._runs[key]

    def correction(self, question: Question) -> Correction | None:
        """As ``correction_for``."""
        key = taught_by(question)
        if key not in self._corrections:
            self._corrections[key] = correction_for(question, self._without)
        return self._corrections[key]


def _cards_or_why(machine: Machine) -> Cards | NotKnown:
    try:
        return cards_of(machine)
    except NotKnown as error:
        return error
