"""Form fields of knobs: one for each type of value, with the knob's texts and limits."""

from dataclasses import dataclass, replace
from typing import Any

from django import forms
from django.http import QueryDict

from jobs.verl.knobs import COMMAND, LARGEST, Knob
from jobs.verl.spec import Value
from jobs.verl.variants import VARIANTS

BOX_NAMES = {"hf_model": "Hugging Face folder", "wandb": "W&B", "mlflow": "MLflow"} | {
    "tensorboard": "TensorBoard", "swanlab": "SwanLab", "trackio": "Trackio",
}  # fmt: skip


def shown(value: Value) -> str:
    """A value as text that the field can read back."""
    return str(value).lower() if isinstance(value, bool) else str(value)


class Boxes(forms.CheckboxSelectMultiple):
    """Checkboxes whose value is one text, joined by commas, as in a spec and in a command."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[str]:
        given = data.getlist(name) if isinstance(data, QueryDict) else [data.get(name) or ""]
        return [word for text in given for word in text.split(",") if word]

    def format_value(self, value: Any) -> list[str]:
        return value.split(",") if isinstance(value, str) else list(value or ())

    def id_for_label(self, id_: str, index: str | int | None = None) -> str:
        # The label and the links to an error point to the first box.
        return super().id_for_label(id_, "0" if index is None else str(index))


class BoxesField(forms.MultipleChoiceField):
    widget = Boxes

    def clean(self, value: Any) -> Any:
        picked: list[str] = super().clean(value)
        return ",".join(choice for choice, _ in self.choices if choice in picked)  # type: ignore[union-attr, misc]


@dataclass(frozen=True)
class ShownKnob:
    """A knob in one form; ``key`` is its Hydra key for the form's kind of run."""

    name: str
    label: str
    unit: str
    help: str
    key: str
    default: str
    choices: tuple[str, ...]
    unset: str = ""  # what an empty field stands for


def knob_field(knob: Knob, kind: str, default: Value | None) -> forms.Field:
    """A form field for a knob; templates find the knob at ``field.knob``."""
    field = _field(knob)
    field.label, field.help_text, field.required = knob.label, knob.help_of(kind), knob.required
    example = "" if default is None else shown(default)
    if knob.type in (int, float):
        wanted = "a whole number" if knob.type is int else "a number"
        hint = f", such as {example}" if example else ""
        field.error_messages["invalid"] = f"Write {wanted}{hint}."
    field.knob = ShownKnob(  # type: ignore[attr-defined]  # a plain attribute, for templates
        knob.name,
        knob.label,
        knob.unit,
        knob.help_of(kind),
        key_of(knob, kind),
        example,
        knob.choices,
    )
    return field


def key_of(knob: Knob, kind: str) -> str:
    """The Hydra key shown at a field; empty for a knob that shapes the command itself."""
    return "" if knob.key(kind) == COMMAND else knob.key(kind)


def show_unset(field: forms.Field, words: str) -> None:
    """Have a field say what it stands for while it is empty."""
    field.knob = replace(field.knob, unset=words)  # type: ignore[attr-defined]
    if isinstance(field, forms.ChoiceField) and not isinstance(field, BoxesField):
        field.choices = [("", words), *list(field.choices)[1:]]  # type: ignore[arg-type]


def _field(knob: Knob) -> forms.Field:
    if knob.type is list:
        return BoxesField(choices=[(c, BOX_NAMES.get(c, c)) for c in knob.choices])
    if knob.choices:
        first = [] if knob.required else [("", "")]
        return forms.ChoiceField(choices=first + [(c, _named(knob, c)) for c in knob.choices])
    if knob.type is bool:
        answers = [("", ""), ("true", "yes"), ("false", "no")]
        return forms.TypedChoiceField(
            choices=answers, coerce=lambda text: text == "true", empty_value=None
        )
    limits: dict[str, Any] = {"min_value": knob.minimum, "max_value": knob.maximum}
    if knob.type is int:
        limits["max_value"] = knob.maximum or LARGEST
        return forms.IntegerField(widget=figure("numeric"), **limits)
    if knob.type is float:
        return forms.FloatField(widget=figure("decimal"), **limits)
    return forms.CharField(max_length=500, widget=_text())


def figure(mode: str) -> forms.TextInput:
    # A number input would submit an unreadable number as empty.
    return forms.TextInput(attrs={"inputmode": mode, "autocomplete": "off", "class": "figure"})


def _text() -> forms.TextInput:
    return forms.TextInput(attrs={"spellcheck": "false", "autocomplete": "off"})


def _named(knob: Knob, choice: str) -> str:
    return VARIANTS[choice].label if knob.name == "variant" else choice
