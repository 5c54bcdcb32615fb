"""A plan as its page shows it, each offer with the form's values that apply it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.conf import settings

from jobs.order.knob_fields import shown as field_text
from jobs.verl.plan_words import Row
from jobs.verl.planning import Offer, Plan
from jobs.verl.spec import TrainSpec
from platform_site.counts import money_text

Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class ShownOffer:
    """``carried`` are the values of the job's form with the offer applied."""

    number: int
    offer: Offer
    carried: Pairs
    cost: str

    @property
    def rows(self) -> Sequence[Row]:
        return self.offer.rows

    @property
    def has_reasons(self) -> bool:
        return any(row.why for row in self.offer.rows)


def offers(plan: Plan, carried: Pairs) -> Iterator[ShownOffer]:
    """The offers, or what would fit instead, in their order."""
    for number, offer in enumerate(plan.offers or plan.instead, start=1):
        price = offer.choice.price
        cost = "" if price is None else money_text(offer.choice.cost, settings.TRAINYARD_CURRENCY)
        yield ShownOffer(number, offer, list(_applied(carried, offer.spec)), cost)


def _applied(carried: Pairs, spec: TrainSpec) -> Iterator[tuple[str, str]]:
    """The values of the form, those of the spec in their place."""
    given = {name: field_text(value) for name, value in spec.values.items()}
    given["overrides"] = "\n".join(spec.overrides)
    for name, value in carried:
        if name not in given:
            yield name, value
    yield from given.items()
