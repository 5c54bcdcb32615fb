"""The plan for a job: the search, and the job with what was found.

It takes seconds of a core for some goals, so that pages call it in a bounded child.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from compute.sizing.models import KnownModel, known_models
from compute.sizing.plan import instead
from compute.sizing.plan.reasons import reasons
from compute.sizing.plan.search import Choice, Found, Goal, search
from compute.sizing.plan.settings import chosen
from compute.sizing.plan.settled import settled
from compute.sizing.plan.shapes import with_gpus
from compute.sizing.plan.sides import NOTHING_MORE, Terms
from compute.sizing.question import Question
from jobs.verl import plan_words as told
from jobs.verl.plan_words import Row
from jobs.verl.planned import still_beating, with_plan
from jobs.verl.spec import TrainSpec


@dataclass(frozen=True)
class Asked:
    """A job, its question, and what is wanted of it."""

    spec: TrainSpec
    question: Question
    goal: str = "fastest"
    terms: Terms = NOTHING_MORE


@dataclass(frozen=True)
class Offer:
    """Settings that fit, with what they cost. ``spec`` is the job with them, and ``warnings`` say
    what of the job beats them."""

    title: str
    choice: Choice
    spec: TrainSpec
    rows: Sequence[Row] = ()
    warnings: Sequence[str] = ()


@dataclass(frozen=True)
class Plan:
    """``offers`` are the best and its alternatives; where nothing fits they are empty, and
    ``instead`` holds changes of the job with which it would."""

    asked: Asked
    offers: tuple[Offer, ...]
    instead: tuple[Offer, ...] = ()
    tried: int = 0
    least: Choice | None = None


def plan(asked: Asked) -> Plan:
    """Search all settings of a job for its goal."""
    found = _found(asked)
    if found.best is None:
        changed = tuple(_instead(asked))
        return Plan(asked, (), changed, found.tried, found.least)
    best = settled(found.best, asked.question)
    offers = (_best(asked, best), *_others(asked, best, found))
    return Plan(asked, offers, (), found.tried, found.least)


def _found(asked: Asked) -> Found:
    if asked.goal == "cheapest":
        return search(_on_fewer(asked.question), "cheapest", asked.terms)
    goal: Goal = "safest" if asked.goal == "safest" else "fastest"
    return search([_limit(asked) or asked.question], goal, asked.terms)


def _limit(asked: Asked) -> Question | None:
    """The question as far as it can be stretched, for the goals that stretch it."""
    question, terms = asked.question, asked.terms
    if asked.goal == "longest":
        choice = instead.longest(question, terms)
    elif asked.goal == "fewest":
        choice = instead.fewest_gpus(question, terms)
    elif asked.goal == "largest":
        # What runs of this family taught says nothing of others.
        models = [model.facts for model in _by_size()]
        choice = instead.largest_model(question, models, Terms(terms.price))
    else:
        return None
    return choice.question if choice else None


def _by_size() -> list[KnownModel]:
    return sorted(known_models().values(), key=lambda model: model.parameters)


def _on_fewer(question: Question) -> Iterator[Question]:
    """The job on its GPUs, and on each smaller power of two of them."""
    yield question
    count = 1
    while count < question.gpus:
        if fewer := with_gpus(question, count):
            yield fewer
        count *= 2


def _best(asked: Asked, choice: Choice) -> Offer:
    why = {
        reason.setting: told.why(reason, choice.seconds, choice.question.gpu.memory)
        for reason in reasons(choice, asked.question)
    }
    return _offer(asked, told.BEST.get(asked.goal, asked.goal), choice, why)


def _others(asked: Asked, best: Choice, found: Found) -> Iterator[Offer]:
    for other in found.others:
        kept = settled(other, asked.question)
        yield _offer(asked, told.against(kept, best), kept, {})


def _instead(asked: Asked) -> Iterator[Offer]:
    for one in instead.nearest(asked.question, asked.terms):
        kept = settled(one.choice, asked.question)
        yield _offer(asked, f"It fits with {one.change}", kept, {})


def _with_model(asked: Asked, choice: Choice) -> TrainSpec:
    """The job with the model of a choice, by its name on the hub."""
    facts = choice.question.actor.model
    if facts == asked.question.actor.model:
        return asked.spec
    name = next(model.hubs[0] for model in _by_size() if model.facts == facts)
    return replace(asked.spec, values={**asked.spec.values, "model_path": name})


def _offer(asked: Asked, title: str, choice: Choice, why: Mapping[str, str]) -> Offer:
    spec = with_plan(_with_model(asked, choice), choice.question, asked.question)
    used = chosen(asked.question)
    rows = tuple(told.rows(asked.spec, spec, used, why))
    return Offer(title, choice, spec, rows, tuple(still_beating(spec, choice.question)))
