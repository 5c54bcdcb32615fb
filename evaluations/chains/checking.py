"""What can be known of a chain before it starts: recipes, fields, machines, models that are there.

A step whose model is not made yet is checked with the model that its line began with, where that
is known: one of the same shape.
"""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from django import forms
from django.contrib.auth.models import User

from compute.models import Machine
from evaluations.chains.deciding import BELOW
from evaluations.chains.lying import apart, places_of
from evaluations.chains.making import (
    CALLED,
    FORMS,
    OWN,
    Asked,
    machine_of,
    train_form,
    valid,
    with_places,
)
from evaluations.chains.models import Chain, Part
from evaluations.chains.outputs import Model, Refused, machine_of_paths
from evaluations.steps.reading import NAMED_MODEL
from evaluations.steps.step import CONVERT, DECIDES, LORA, MERGE, TRAIN, Recipe, Step
from jobs.kinds.registry import registry
from jobs.order.forms import JobForm
from surgery.making.checks import SurgeryError, check_adapters, check_places
from surgery.recipes.recipe import RecipeError, read_recipe
from surgery.recipes.sweep import read_range, swept


@dataclass(frozen=True)
class Problem:
    """What is wrong with a step, as a sentence."""

    step: str
    message: str

    def __str__(self) -> str:
        return f"Step {self.step}: {self.message}"


@dataclass(frozen=True)
class Checked:
    """What was found of a recipe. ``forms`` are those of its trainings, by the step."""

    recipe: Recipe
    machine: Machine
    problems: list[Problem]
    forms: Mapping[str, JobForm]


def check(recipe: Recipe, machine: Machine, user: User) -> Checked:
    """All that speaks against a start now."""
    chain = Chain(owner=user, name=recipe.name, machine=machine)
    problems, forms, lying = list[Problem](), dict[str, JobForm](), places_of(recipe, machine)
    for step in recipe.steps:
        try:
            machine_of(step, chain, [])
            problems += _paths(step, machine_of_paths(step, chain), user)
            problems += [Problem(step.name, said) for said in apart(step, lying)]
            problems += _fields(step)
            if step.verb == TRAIN:
                problems += _left(step, recipe, forms)
                forms[step.name] = _training(step, recipe, chain)
        except Refused as error:
            problems.append(Problem(step.name, str(error)))
    return Checked(recipe, machine, problems, forms)


def _fields(step: Step) -> Iterator[Problem]:
    """Of the fields that a step sets, those that its form does not have."""
    form = FORMS.get(step.verb)
    for name in [*step.sets, *step.over] if form else []:
        if form and CALLED.get(name, name) not in form.base_fields:
            known = [each for each in form.base_fields if each not in OWN]
            near = difflib.get_close_matches(name, known, 1)
            hint = f"Did you mean {near[0]}?" if near else f"It has: {', '.join(known)}."
            yield Problem(step.name, f"It has no field {name}. {hint}")
        elif form:
            yield from _values(step, name, form.base_fields[CALLED.get(name, name)])
    if step.verb == MERGE:
        yield from _merge(step)


def _values(step: Step, name: str, field: forms.Field) -> Iterator[Problem]:
    """What a field of a form says of each value that it will be given."""
    given = [step.sets[name]] if name in step.sets else step.over[name]
    for value in given:
        try:
            field.clean(with_places(value))
        except forms.ValidationError as error:
            yield Problem(step.name, f"{field.label or name}: {' '.join(error.messages)}")


def _merge(step: Step) -> Iterator[Problem]:
    """What is wrong with the recipe of a merge, whatever its models are."""
    text = NAMED_MODEL.sub(lambda found: f"/{found[1]}", step.of)
    try:
        for _, each in swept(text, read_range(step.sweep)) if step.sweep else [(0, text)]:
            read_recipe(each)
    except RecipeError as error:
        yield Problem(step.name, str(error))


def _paths(step: Step, machine: Machine, user: User) -> Iterator[Problem]:
    """Of the models that a step names by their path."""
    for nr, source in enumerate(step.models):
        if source.path and step.verb != TRAIN and not source.path.endswith(BELOW):
            look = check_adapters if step.verb == LORA and nr else check_places
            try:
                look([source.path], machine, user)
            except SurgeryError as error:
                yield Problem(step.name, str(error))


def _left(step: Step, recipe: Recipe, forms: Mapping[str, JobForm]) -> Iterator[Problem]:
    """Of a training that is to begin with the model of another, which will leave none."""
    for source in step.models:
        before = forms.get(_behind(source.step, recipe))
        kind = registry().find(before.recipe.kind) if before else None
        if before and kind and (reason := kind.leaves_no_model(before.spec)):
            yield Problem(step.name, f"The step {source} leaves no model to train on: {reason}.")


def _behind(name: str, recipe: Recipe) -> str:
    """The step that makes what a step passes on."""
    while name and recipe.step(name).verb in DECIDES:
        name = next((source.step for source in recipe.step(name).models), "")
    return name


def _training(step: Step, recipe: Recipe, chain: Chain) -> JobForm:
    """The valid form of a training, with the first values of those that it runs over. Raises
    ``Refused``."""
    values = {name: each[0] for name, each in step.over.items()}
    part = Part(chain=chain, step=step.name, nr=1, values=values)
    path = base_of(step, recipe)
    models = [Model(path, chain.machine)] if path else []
    return valid(train_form(Asked(chain, step, part, models), is_final=True))


def base_of(step: Step, recipe: Recipe) -> str:
    """The model with which the line of a step began, as a path; empty where its own recipe names
    the one to take."""
    for source in step.models[:1]:
        if source.path:
            # What a folder will hold, and what a checkpoint becomes, nobody can look at yet.
            is_known = step.verb != CONVERT and not source.path.endswith(BELOW)
            return source.path if is_known else ""
        before = recipe.step(source.step)
        return base_of(before, recipe) or before.sets.get("model_path", "")
    return ""
