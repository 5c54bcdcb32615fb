"""Estimates of jobs: for the form, the list, the pages of plans, and the commands.

``estimate_of(spec, machine)`` for a job on a machine of Trainyard's, ``estimate_on(spec, cards)``
for any cards of the catalogue. Both raise ``NotKnown`` (something is not known: say so, and guess
nothing) and ``QuestionError`` (the job cannot be like this; ``field`` is the knob). Estimates of
many jobs share ``Lookups``.
"""

from dataclasses import replace

from compute.models import Machine
from compute.sizing.answer import Estimate
from compute.sizing.estimate import estimate
from compute.sizing.facts import ModelFacts
from compute.sizing.question import Lengths, Question
from jobs.fit.lookups import Lookups
from jobs.fit.pricing import price_of
from jobs.fit.sources import Cards, NotKnown, cards_of, facts_of
from jobs.verl.question import QuestionError, question_of
from jobs.verl.spec import TrainSpec

__all__ = [
    "ON_CPU",
    "Cards",
    "NotKnown",
    "QuestionError",
    "cards_of",
    "estimate_of",
    "estimate_on",
    "price_of",
    "question_on",
]

ON_CPU = "It runs on the CPU, for which there is no estimate."


def estimate_of(spec: TrainSpec, machine: Machine, lookups: Lookups | None = None) -> Estimate:
    """What a job needs on a machine's cards. Raises ``NotKnown`` and ``QuestionError``."""
    lookups = lookups or Lookups()
    if spec.values.get("device") == "cpu":
        raise NotKnown(ON_CPU, "device")
    cards = lookups.cards(machine)
    question = question_on(spec, cards, lookups=lookups)
    return estimate(question, lookups.price(machine), lookups.correction(question))


def estimate_on(spec: TrainSpec, cards: Cards, price: float | None = None) -> Estimate:
    """What a job needs on cards that need not be anybody's. Raises as ``estimate_of``.

    ``price`` is of one GPU for an hour; the price table's without.
    """
    lookups = Lookups()
    known = price_of(cards.gpu, table=lookups.prices) if price is None else price
    question = question_on(spec, cards, lookups=lookups)
    return estimate(question, known, lookups.correction(question))


def question_on(
    spec: TrainSpec,
    cards: Cards,
    model: ModelFacts | None = None,
    lengths: Lengths | None = None,
    lookups: Lookups | None = None,
) -> Question:
    """A job in the words of the estimate. ``model`` is the one to train, the spec's own without;
    ``lengths`` are those of the data as a check counted them, without.

    Raises ``NotKnown`` and ``QuestionError``.
    """
    facts = model or facts_of(str(spec.values.get("model_path") or ""))
    # Runs of the spec's own model tell how long answers get, but not those of another.
    asked = replace(spec, values={**spec.values, "model_path": ""}) if model else spec
    return question_of(
        spec,
        facts,
        cards.gpu,
        per_node=cards.per_node,
        host_memory=cards.host_memory,
        lengths=lengths or (lookups or Lookups()).lengths(asked, facts.model_type),
        critic=_other(spec, "critic_model"),
        reward_model=_other(spec, "reward_model"),
    )


def _other(spec: TrainSpec, field: str) -> ModelFacts | None:
    name = str(spec.values.get(field) or "")
    return facts_of(name, field) if name else None
