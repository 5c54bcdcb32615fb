"""Of which parts a step consists, once the steps before it are done."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from evaluations.chains.models import Chain
from evaluations.chains.outputs import Model, Refused, models_of
from evaluations.chains.parts import Parts
from evaluations.steps.step import AVERAGE, LORA, MERGE, TRAIN, Source, Step
from surgery.recipes.recipe import RecipeError
from surgery.recipes.sweep import read_range

MOST_PARTS = 100


@dataclass(frozen=True)
class Planned:
    """One part that a step will have, the models that it works on, and the fields of its own."""

    models: Sequence[Model] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    label: str = ""


def plan(step: Step, chain: Chain, parts: Parts) -> list[Planned]:
    """The parts of a step with jobs. Raises ``Refused``."""
    planner = {MERGE: _merges, LORA: _loras}.get(step.verb, _each)
    found = list(planner(step, chain, parts))
    if len(found) > MOST_PARTS:
        raise Refused(f"It would take {len(found)} jobs; {MOST_PARTS} are the most of one step.")
    return found


def _each(step: Step, chain: Chain, parts: Parts) -> Iterator[Planned]:
    """A job for each model and each combination of values."""
    groups = [[]] if step.verb == TRAIN and not step.models else [
        [model] for source in step.models for model in _known(source, step, chain, parts)
    ]  # fmt: skip
    for models, values in itertools.product(groups, _combinations(step)):
        words = [str(model.part) if model.part else model.path for model in models]
        words = words if len(groups) > 1 else []
        _check(step, models)
        yield Planned(models, values, ", ".join([*words, *_words(values)])[:300])


def _combinations(step: Step) -> list[dict[str, str]]:
    """Of the values of the fields that a step runs over."""
    return [dict(zip(step.over, each, strict=True))
            for each in itertools.product(*step.over.values())]  # fmt: skip


def _words(values: Mapping[str, str]) -> list[str]:
    return [f"{name} {' '.join(value.split())}" for name, value in values.items()]


def _loras(step: Step, chain: Chain, parts: Parts) -> Iterator[Planned]:
    """One merge of all the adapters into the base for each combination of values."""
    base, *adapters = step.models
    of_base = _known(base, step, chain, parts)
    if len(of_base) != 1:
        raise Refused(f"Adapters are merged into one model, and {base} left {len(of_base)}: let a "
                      "step choose one of them first.")  # fmt: skip
    models = [*of_base, *(model for each in adapters for model in _known(each, step, chain, parts))]
    _check_one_machine([model for model in models if model.part])
    for values in _combinations(step):
        yield Planned(models, values, ", ".join(_words(values))[:300])


def _check(step: Step, models: Sequence[Model]) -> None:
    if step.verb == AVERAGE and any(model.job is None for model in models):
        raise Refused("It averages the checkpoints of a run, and the job of that run is gone.")


def _merges(step: Step, chain: Chain, parts: Parts) -> Iterator[Planned]:
    """One merge of all models that its recipe names, or one for each value of its sweep."""
    models = []
    for source in step.models:
        found = _known(source, step, chain, parts)
        if len(found) != 1:
            raise Refused(f"Its recipe names one model {source}, and the step left {len(found)}: "
                          "let a step choose one of them first.")  # fmt: skip
        models += found
    _check_one_machine(models)
    try:
        over = read_range(step.sweep) if step.sweep else None
    except RecipeError as error:
        raise Refused(str(error)) from error
    if over is None:
        yield Planned(models)
        return
    for value in over.values:
        label = f"{over.name} {value:g}"
        yield Planned(models, {over.name: repr(value)}, label)


def _check_one_machine(models: Sequence[Model]) -> None:
    if len({model.machine for model in models}) > 1:
        places = ", ".join(f"{model.label} on {model.machine}" for model in models)
        raise Refused(f"The models of one merge lie on one machine: {places}.")


def _known(source: Source, step: Step, chain: Chain, parts: Parts) -> list[Model]:
    found = models_of(source, step, parts, chain)
    if not found:
        raise Refused(f"The step {source} left no model.")
    return found
