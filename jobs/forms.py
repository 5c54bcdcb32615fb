"""The form of a new job: built from the knobs, checked by the preflight. Commands use it too."""

import uuid as uuids
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib.auth.models import User

from compute.models import Machine
from compute.services import local_machine
from datasets.models import Dataset
from jobs.models import ENDED, Job
from jobs.places import places
from jobs.preflight import Preflight
from jobs.services import Order
from jobs.verl.knobs import LARGEST, Knob, find, knobs_of
from jobs.verl.recipes import Recipe
from jobs.verl.spec import TrainSpec, Value

OPEN_GROUPS = ("Data", "Model", "Optimiser")
SET_FIELDS = ("name", "machine", "after", "uuid")


def one_line(text: str) -> None:
    if not text.isprintable():
        raise forms.ValidationError("A name is one line of printable characters.")


class JobForm(forms.Form):
    uuid = forms.UUIDField(widget=forms.HiddenInput)
    name = forms.CharField(max_length=200, label="Name", validators=[one_line])
    machine = forms.ModelChoiceField(Machine.objects.all(), empty_label=None)
    overrides = forms.CharField(
        required=False,
        label="Further overrides",
        help_text="One Hydra override a line, such as optim.min_lr_ratio=0.1",
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
    )

    def __init__(self, recipe: Recipe, user: User, data: Any = None) -> None:
        self.recipe, self.user = recipe, user
        self.preflight: Preflight  # there once all fields could be read
        self.defaults = recipe.spec(places())
        super().__init__(data, initial=None if data is not None else initial(recipe))
        self.fields["after"] = forms.ModelChoiceField(
            Job.objects.visible_to(user).exclude(status__in=ENDED),
            required=False,
            empty_label="Nothing: start when the machine is free",
            label="Start after",
        )
        for knob in knobs_of(recipe.kind):
            self.fields[knob.name] = knob_field(
                knob, recipe.kind, self.defaults.values.get(knob.name)
            )

    def clean_uuid(self) -> uuids.UUID:
        uuid: uuids.UUID = self.cleaned_data["uuid"]
        if Job.objects.filter(uuid=uuid).exclude(owner=self.user).exists():
            raise forms.ValidationError("This form was used before. Open a new one.")
        return uuid

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if self.errors:
            return cleaned
        self.preflight = Preflight(self.spec)
        for problem in self.preflight.problems:
            self.add_error(problem.field or None, problem.message)
        return cleaned

    @property
    def spec(self) -> TrainSpec:
        """The spec as typed. Needs fields that were read without an error."""
        values = {
            knob.name: self.cleaned_data[knob.name]
            for knob in knobs_of(self.recipe.kind)
            if self.cleaned_data.get(knob.name) not in (None, "")
        }
        lines = str(self.cleaned_data.get("overrides", "")).splitlines()
        overrides = tuple(line.strip() for line in lines if line.strip())
        return TrainSpec(self.recipe.kind, values, overrides)

    def order(self) -> Order:
        """What to submit. Only for a valid form."""
        return Order(
            owner=self.user,
            name=self.cleaned_data["name"],
            recipe=self.recipe.slug,
            spec=self.spec,
            steps=self.preflight.steps,
            machine=self.cleaned_data["machine"],
            uuid=self.cleaned_data["uuid"],
            after=self.cleaned_data["after"],
        )

    @property
    def groups(self) -> Iterator[tuple[str, list[forms.BoundField], bool]]:
        """Fields by role: title, fields, and whether the group is unfolded."""
        titles = dict.fromkeys(knob.group for knob in knobs_of(self.recipe.kind))
        for title in titles:
            fields = [self[knob.name] for knob in knobs_of(self.recipe.kind) if knob.group == title]
            wrong = any(field.errors for field in fields)
            yield title, fields, title in OPEN_GROUPS or wrong

    @property
    def suggestions(self) -> dict[str, list[str]]:
        """What a field may offer: the data sets of the kind, and the sample models."""
        kind = Dataset.Kind.SFT if self.recipe.kind == "sft" else Dataset.Kind.RL
        known = list(Dataset.objects.filter(kind=kind))
        samples = places()["samples"]
        return {
            "train_files": [dataset.train_file for dataset in known],
            "val_files": [dataset.val_file for dataset in known],
            "model_path": [f"{samples}/model", f"{samples}/model-warm"],
        }


def initial(recipe: Recipe) -> dict[str, Any]:
    """A new form's contents: the recipe's values, and an id that makes a second send harmless."""
    spec = recipe.spec(places())
    values = {name: shown(value) for name, value in spec.values.items()}
    return values | {
        "uuid": uuids.uuid4(),
        "name": recipe.title,
        "machine": local_machine().pk,
        "overrides": "\n".join(spec.overrides),
    }


def shown(value: Value) -> str:
    """A value as a field shows it and reads it back."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def form_data(recipe: Recipe, name: str, sets: list[str]) -> dict[str, Any]:
    """The contents of a form as a command fills it: the recipe's values, then each ``key=value``.

    A key is a knob's name or its Hydra key; any other becomes a free override.
    """
    data = initial(recipe)
    if name:
        data["name"] = name
    lines = [str(data["overrides"])]
    for text in sets:
        key, _, value = text.partition("=")
        knob = find(recipe.kind, key)
        if knob or key in SET_FIELDS:
            data[knob.name if knob else key] = value
        else:
            lines.append(value if key == "overrides" else text)
    data["overrides"] = "\n".join(lines)
    return data


@dataclass(frozen=True)
class ShownKnob:
    """A knob as one form shows it; ``key`` is its Hydra key for the form's kind of run."""

    name: str
    label: str
    unit: str
    help: str
    key: str
    default: str
    choices: tuple[str, ...]


def knob_field(knob: Knob, kind: str, default: Value | None) -> forms.Field:
    """A form field for a knob; templates find the knob at ``field.knob``."""
    field = _field(knob)
    field.label, field.help_text, field.required = knob.label, knob.help, knob.required
    example = "" if default is None else shown(default)
    if knob.type in (int, float):
        wanted = "a whole number" if knob.type is int else "a number"
        hint = f", such as {example}" if example else ""
        field.error_messages["invalid"] = f"Write {wanted}{hint}."
    field.knob = ShownKnob(  # type: ignore[attr-defined]  # a plain attribute, for templates
        knob.name, knob.label, knob.unit, knob.help, knob.key(kind), example, knob.choices
    )
    return field


def _field(knob: Knob) -> forms.Field:
    if knob.choices:
        first = [] if knob.required else [("", "verl's default")]
        return forms.ChoiceField(choices=first + [(c, c) for c in knob.choices])
    if knob.type is bool:
        answers = [("", "verl's default"), ("true", "yes"), ("false", "no")]
        return forms.TypedChoiceField(
            choices=answers, coerce=lambda text: text == "true", empty_value=None
        )
    limits: dict[str, Any] = {"min_value": knob.minimum, "max_value": knob.maximum}
    if knob.type is int:
        limits["max_value"] = knob.maximum or LARGEST
        return forms.IntegerField(widget=_figure("numeric"), **limits)
    if knob.type is float:
        return forms.FloatField(widget=_figure("decimal"), **limits)
    return forms.CharField(max_length=500, widget=_text())


def _figure(mode: str) -> forms.TextInput:
    # A number input would hand an unreadable figure over as empty.
    return forms.TextInput(attrs={"inputmode": mode, "autocomplete": "off", "class": "figure"})


def _text() -> forms.TextInput:
    return forms.TextInput(attrs={"spellcheck": "false", "autocomplete": "off"})


class RenameForm(forms.Form):
    name = forms.CharField(max_length=200, validators=[one_line])
