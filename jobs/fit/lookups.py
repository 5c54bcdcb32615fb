"""What estimates of many jobs look up: each thing once, however many jobs it is about."""

from collections.abc import Collection, Sequence
from functools import cached_property

from compute.models import Machine
from compute.prices.table import PriceTable, price_table
from compute.sizing.learning import Correction
from compute.sizing.question import Lengths, Question
from jobs.fit.answers import Run, runs_of, with_answers
from jobs.fit.data import Data, files_of
from jobs.fit.learned import Corrections, taught_by
from jobs.fit.pricing import price_of
from jobs.fit.sources import Cards, NotKnown, cards_of
from jobs.models import Job
from jobs.verl.spec import TrainSpec


class Lookups:
    """What was found so far. Others change it meanwhile: make a new one for each request."""

    def __init__(self, without: Job | None = None, specs: Collection[TrainSpec] = ()) -> None:
        """``without`` is a job whose own run teaches nothing. What belongs to the data of ``specs``
        is looked up for all of them at once."""
        self._without = without
        self._data = Data(specs, without)
        self._runs: dict[object, Sequence[Run]] = {}
        self._cards: dict[int, Cards | NotKnown] = {}
        self._prices: dict[int, float | None] = {}
        self._others: dict[object, Data] = {}

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

    def known_price(self, machine: Machine) -> float | None:
        """As ``price``; None also where the machine's cards are not known."""
        try:
            return self.price(machine)
        except NotKnown:
            return None

    def lengths(self, spec: TrainSpec, family: str) -> Lengths | None:
        """Of its data, with answers as long as those of earlier runs with such a model; None where
        neither is known."""
        known = self._data_of(spec).lengths(spec)
        return with_answers(known, spec, self._runs_of(spec, family))

    def _runs_of(self, spec: TrainSpec, family: str) -> Sequence[Run]:
        key = (spec.kind, family, *files_of(spec), spec.values.get("model_path"))
        if key not in self._runs:
            self._runs[key] = runs_of(spec, family, self._data_of(spec))
        return self._runs[key]

    def _data_of(self, spec: TrainSpec) -> Data:
        if self._data.knows(spec):
            return self._data
        key = (spec.kind, *files_of(spec))
        if key not in self._others:
            self._others[key] = Data([spec], self._without)
        return self._others[key]

    def correction(self, question: Question) -> Correction | None:
        """As ``correction_for``."""
        return self._corrections.of(*taught_by(question))

    @cached_property
    def _corrections(self) -> Corrections:
        return Corrections(self._without)


def _cards_or_why(machine: Machine) -> Cards | NotKnown:
    try:
        return cards_of(machine)
    except NotKnown as error:
        return error
