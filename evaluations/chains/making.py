"""From a part of a chain to its job, by the form that a page or a command would fill."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from django import forms
from django.contrib.auth.models import User

from compute.models import Machine
from evaluations.chains.models import Chain, Part
from evaluations.chains.outputs import Model, Refused, left_by, machine_of_paths, saved_by
from evaluations.ordering.forms import EvaluateForm
from evaluations.steps.reading import NAMED_MODEL
from evaluations.steps.step import (
    ADAPTER,
    AVERAGE,
    CONVERT,
    EVALUATE,
    LORA,
    MERGE,
    TRAIN,
    Source,
    Step,
)
from jobs.artifacts.keeping import artifact_at
from jobs.exports.services import export
from jobs.launch.submit import NotSubmitted, submit
from jobs.models import Job
from jobs.order.filling import NotTrainable, model_in
from jobs.order.forms import JobForm, form_data
from jobs.places import places
from jobs.recipebook.book import find_recipe
from surgery.adapters.forms import LoraMergeForm
from surgery.averages.forms import AverageForm
from surgery.compose import services as merging
from surgery.conversions.forms import ConvertForm
from surgery.kinds.average import LAST
from surgery.making.forms import MakeForm
from surgery.making.services import make as make_surgery
from surgery.recipes.recipe import RecipeError
from surgery.recipes.sweep import read_range, swept

# What a chain calls the fields of a form as the commands call them.
CALLED = {"last": "last_count"}
Form = TypeVar("Form", bound=forms.Form)


@dataclass(frozen=True)
class Asked:
    """One job to be made: the models are those of its part, in their order."""

    chain: Chain
    step: Step
    part: Part
    models: list[Model]

    @property
    def user(self) -> User:
        return self.chain.owner

    @property
    def name(self) -> str:
        """On one line of printable characters, whatever the values are."""
        words = f"{self.chain.name}: {self.part}".split()
        return "".join(each if each.isprintable() else "?" for each in " ".join(words))[:200]

    @property
    def sets(self) -> dict[str, str]:
        """The fields of the form, with the folders of the samples by their own paths."""
        given = {**self.step.sets, **self.part.values}
        return {name: with_places(value) for name, value in given.items()}

    def machine(self) -> Machine:
        """Where it runs: where it was told to, or where its models lie. Raises ``Refused``."""
        return machine_of(self.step, self.chain, self.models)


def with_places(text: str) -> str:
    """A value with the folders of the samples, which a recipe names in braces."""
    for name, folder in places().items():
        text = text.replace(f"{{{name}}}", folder)
    return text


def machine_of(step: Step, chain: Chain, models: list[Model]) -> Machine:
    """Raises ``Refused``."""
    named = step.machine
    if named:
        found = Machine.objects.for_jobs().filter(name=named).first()
        if found is None:
            raise Refused(f"There is no machine {named} that takes jobs.")
        return found
    if models and step.verb != TRAIN:
        return models[0].machine
    return chain.machine


def make(asked: Asked) -> Job:
    """The job of a part. The same part twice is the same job. Raises ``Refused``."""
    try:
        return MAKERS[asked.step.verb](asked)
    except (NotSubmitted, RecipeError) as error:
        raise Refused(str(error)) from error


def train_form(asked: Asked, *, is_final: bool) -> JobForm:
    """The form of a training, filled; ``is_final`` checks what takes seconds, too. Raises
    ``Refused`` where there is no such recipe."""
    recipe = find_recipe(asked.step.of, asked.user)
    if recipe is None:
        raise Refused(f"There is no recipe {asked.step.of}: manage.py recipes lists them.")
    try:
        data = form_data(
            recipe, asked.name, [f"{key}={value}" for key, value in asked.sets.items()]
        )
    except (ValueError, KeyError) as error:
        raise Refused(str(error)) from error
    data |= {"uuid": str(asked.part.uuid), "machine": asked.machine().pk}
    for model in asked.models[:1]:
        data |= _model(model, asked.machine())
    return JobForm(recipe, asked.user, data, is_final=is_final)


def _model(model: Model, machine: Machine) -> dict[str, Any]:
    """What a job made is sent to the machine of the one that trains on it. Of a checkpoint that was
    chosen, that goes for no other than its own machine. Raises ``Refused``."""
    if model.job is None:
        return {"model_path": model.path}
    if model.is_newest:
        return {"after": model.job.pk, "after_checkpoint": "on"}
    artifact = artifact_at(model.path, {model.machine.pk: model.machine})
    if artifact is None or model.machine != machine:
        raise Refused(f"The checkpoint {model.path} lies on {model.machine}: train on it there.")
    try:
        return {"model_path": model_in(artifact)[0]}
    except NotTrainable as error:
        raise Refused(str(error)) from error


def _train(asked: Asked) -> Job:
    # What takes seconds was checked when the chain started; a busy machine would fail it now.
    form = valid(train_form(asked, is_final=False))
    return submit(form.order(), start=True)


def _average(asked: Asked) -> Job:
    run = asked.models[0].job
    if run is None:
        raise Refused("The run whose checkpoints are averaged is gone.")
    paths = [each.folder for each in reversed(saved_by(run))]
    if asked.sets.get("method") == LAST and asked.sets.get("last", "").isdecimal():
        paths = paths[-int(asked.sets["last"]) :]
    return _surgery(AverageForm, asked, {"more_models": "\n".join(paths)})


def _adapter(asked: Asked) -> Job:
    """The export of a run's newest checkpoint, or of the chosen one, with its adapter kept."""
    model = asked.models[0]
    if model.job is None:
        raise Refused("The run whose adapter is exported is gone.")
    saved = saved_by(model.job)
    if not saved:
        raise Refused(f"Job {model.job.pk} has no whole checkpoint.")
    found = [each for each in saved if each.folder == model.path] if model.is_chosen else saved
    if not found:
        raise Refused(f"Job {model.job.pk} has no whole checkpoint {model.path} any more.")
    return export(
        model.job, found[0], asked.user, name=asked.name, keep_adapter=True, uuid=asked.part.uuid
    )


def _lora(asked: Asked) -> Job:
    base, *adapters = [path for source in asked.step.models for path in _paths(source, asked)]
    return _surgery(LoraMergeForm, asked, {"base_path": base, "more_adapters": "\n".join(adapters)})


def _paths(source: Source, asked: Asked) -> list[str]:
    """Where the models of one of the sources of a step lie."""
    if source.path:
        return [source.path]
    return [each.path for each in asked.models if each.part and each.part.step == source.step]


def _convert(asked: Asked) -> Job:
    return _surgery(ConvertForm, asked, {"source_path": asked.models[0].path})


def _surgery(form: Any, asked: Asked, given: Mapping[str, Any]) -> Job:
    """The job of a form of models; each such form takes a user, what it offers, and data."""
    sets = {CALLED.get(name, name): value for name, value in asked.sets.items()}
    own = {"uuid": asked.part.uuid, "machine": asked.machine().pk, "name": asked.name}
    offers: list[list[Any]] = [[], []] if form is LoraMergeForm else [[]]
    filled = form(asked.user, *offers, {**usual(form), **sets, **given, **own})
    unknown = [name for name in sets if name not in filled.fields]
    if unknown:
        known = ", ".join(name for name in filled.fields if name not in own)
        raise Refused(f"It has no field {unknown[0]}. It has: {known}.")
    return make_surgery(valid(filled))


def usual(form: type[MakeForm]) -> dict[str, Any]:
    """What a page would show in the fields of a form that nobody has touched."""
    found = dict[str, Any]()
    for name, field in form.base_fields.items():
        if field.initial is not None and not callable(field.initial):
            found[name] = field.initial
        elif type(field) is forms.ChoiceField and field.required:
            found[name] = field.choices[0][0]  # type: ignore[index]
    return found


def _evaluate(asked: Asked) -> Job:
    """One model's evaluation; it may be a name of the hub where a step names it so."""
    return _surgery(EvaluateForm, asked, {"more_models": asked.models[0].path})


def _merge(asked: Asked) -> Job:
    return merging.merge(
        merge_text(asked), asked.machine(), asked.user, name=asked.name, uuid=asked.part.uuid
    )


def merge_text(asked: Asked) -> str:
    """The recipe of a merge with the paths of its models. Raises ``RecipeError``."""
    paths = {model.part.step: model.path for model in asked.models if model.part}
    text = NAMED_MODEL.sub(lambda found: paths[found[1]], asked.step.of)
    if not asked.step.sweep:
        return text
    over = read_range(asked.step.sweep)
    wanted = asked.part.values.get(over.name)
    return next(each for value, each in swept(text, over) if repr(value) == wanted)


def valid(form: Form) -> Form:
    """The form, which is valid. Raises ``Refused`` with all that is wrong."""
    if not form.is_valid():
        said = [
            f"{form.fields[name].label}: {message}" if name in form.fields else str(message)
            for name, messages in form.errors.items()
            for message in messages
        ]
        raise Refused(" ".join(said))
    return form


FORMS: Mapping[str, type[MakeForm]] = {
    AVERAGE: AverageForm, CONVERT: ConvertForm, EVALUATE: EvaluateForm, LORA: LoraMergeForm,
}  # fmt: skip
OWN = ("uuid", "machine", "name")  # fields that a chain fills itself
MAKERS: Mapping[str, Callable[[Asked], Job]] = {
    TRAIN: _train, AVERAGE: _average, CONVERT: _convert, MERGE: _merge, EVALUATE: _evaluate,
    ADAPTER: _adapter, LORA: _lora,
}  # fmt: skip


def models_behind(part: Part) -> list[Model]:
    """The models that a part works on."""
    chain = part.chain
    base = part.base and Model(part.base, machine_of_paths(chain.recipe.step(part.step), chain))
    given = [base] if base else []
    before = part.of.select_related("machine", "job", "chain__machine").order_by("pk")
    return [*given, *map(left_by, before)]
