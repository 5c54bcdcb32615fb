"""Forms for data sets. Pages and commands check input through the same services."""

from collections.abc import Iterator
from typing import Any

from django import forms

from datasets.formats.columns import (
    NO_SOURCE,
    OPTIONS,
    SHAPES,
    ColumnMapping,
    Role,
    is_unknown,
    unknown_columns,
)
from datasets.formats.encodings import ENCODINGS, UTF8
from datasets.formats.splitting import Split
from datasets.models import Source
from platform_site.fields import one_line

SPLIT_FIELDS = {"validation", "seed", "group_by"}
CODE = {"spellcheck": "false", "autocomplete": "off"}


def no_at(text: str) -> None:
    if "@" in text:
        raise forms.ValidationError("A name has no @: that is where a version's number begins.")


class NameForm(forms.Form):
    name = forms.CharField(max_length=100, validators=[one_line, no_at])
    description = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 2}))


class AddForm(forms.Form):
    """Rows for a data set: exactly one of an upload, a file on this machine, a hub name."""

    file = forms.FileField(
        required=False,
        label="Upload",
        help_text="JSON, JSONL, CSV or Parquet, gz or not, of any size.",
    )
    path = forms.CharField(
        required=False,
        max_length=1000,
        label="File on this machine",
        help_text="A whole path inside the allowed folders.",
        widget=forms.TextInput(attrs=CODE),
    )
    hub = forms.CharField(
        required=False,
        max_length=300,
        label="Hugging Face data set",
        help_text="owner/name, or owner/name:file where it has several. This machine must reach "
        "the hub, itself or by HTTPS_PROXY or HF_ENDPOINT; where it cannot, upload the file.",
        widget=forms.TextInput(attrs=CODE),
    )

    encoding = forms.ChoiceField(
        required=False,
        choices=list(ENCODINGS.items()),
        initial=UTF8,
        help_text="Of JSON and CSV. Most files are UTF-8; Excel on Windows often is not.",
    )

    def clean_encoding(self) -> str:
        return self.cleaned_data["encoding"] or UTF8

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        given = [name for name in ("file", "path", "hub") if cleaned.get(name)]
        if len(given) != 1 and not self.errors:
            raise forms.ValidationError("Give one of the three: an upload, a path or a hub name.")
        return cleaned


class NewForm(AddForm, NameForm):
    field_order = ("name", "description", "file", "path", "hub", "encoding")


class MapForm(forms.Form):
    """The role of each column, for one shape of rows."""

    shape = forms.ChoiceField(choices=[(name, shape.label) for name, shape in SHAPES.items()])
    target = forms.ChoiceField(label="For")
    validation = forms.CharField(
        initial="0.05",
        label="Validation",
        help_text="A share below 1, or a number of rows; they are never trained on.",
    )
    seed = forms.IntegerField(initial=1, min_value=0, max_value=2**31 - 1)
    group_by = forms.CharField(
        required=False,
        label="Keep together by",
        help_text="Rows with the same value here stay on one side; empty takes the prompt.",
    )

    def __init__(self, source: Source, shape: str, *args: Any, **options: Any) -> None:
        self.source, self.layout = source, SHAPES[shape]
        self.named = shape
        super().__init__(*args, **options)
        targets = {"sft": "SFT", "rl": "RL (PPO, GRPO, GSPO)", "dpo": "DPO"}
        choices = [(target, targets[target]) for target in self.layout.targets]
        self.fields["target"] = forms.ChoiceField(
            label="For", choices=choices, initial=choices[0][0]
        )
        for role in self.layout.roles:
            self.fields[f"role_{role.name}"] = self._role_field(role)
        for option in OPTIONS.values():
            self.fields[f"option_{option.name}"] = self._option_field(option)

    def _role_field(self, role: Role) -> forms.Field:
        same = f"A column, or the same for every row: ={role.constant}" if role.constant else ""
        return forms.CharField(
            label=role.label,
            required=role.required,
            help_text=same,
            max_length=5000,
            widget=forms.TextInput(attrs={**CODE, "list": "columns"}),
        )

    def _option_field(self, option: Any) -> forms.Field:
        if option.choices:
            choices = [(choice, choice.replace("_", " ")) for choice in option.choices]
            return forms.ChoiceField(
                label=option.label, help_text=option.help, choices=choices, required=False
            )
        return forms.CharField(
            label=option.label, help_text=option.help, required=False, max_length=5000
        )

    def clean_validation(self) -> float | int:
        text = self.cleaned_data["validation"]
        try:
            return int(text) if text.isdecimal() else float(text)
        except ValueError:
            raise forms.ValidationError("Write a share such as 0.05, or a number.") from None

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors.keys() - SPLIT_FIELDS:
            for message in self.mapping.problems():
                self.add_error("role_data_source" if message == NO_SOURCE else None, message)
        for role, message in unknown_columns(self.mapping, self.columns).items():
            self.add_error("option_keep" if role == "keep" else f"role_{role}", message)
        if not self.errors.keys() & SPLIT_FIELDS:
            self._check_split()
        return cleaned

    def _check_split(self) -> None:
        split, group = self.split, self.split.group_by
        for message in split.problems():
            self.add_error("validation", message)
        if group and is_unknown(group, self.columns):
            self.add_error("group_by", f"There is no column {group}.")

    @property
    def columns(self) -> dict[str, Any]:
        """The columns of the source, with what they hold."""
        found: dict[str, Any] = self.source.facts.get("fields", {})
        return found

    @property
    def can_be_tried(self) -> bool:
        """Whether rows can be converted to look at, whatever else is wrong or missing."""
        needed = {f"role_{role.name}" for role in self.layout.roles if role.required}
        return {"shape", "target", *needed} <= self.cleaned_data.keys() and not (
            self.non_field_errors()
        )

    @property
    def mapping(self) -> ColumnMapping:
        given = self.cleaned_data
        columns = {role.name: given.get(f"role_{role.name}") for role in self.layout.roles}
        options = {name: given.get(f"option_{name}") for name in OPTIONS}
        return ColumnMapping(
            given.get("target", ""),
            given.get("shape", self.named),
            {name: column for name, column in columns.items() if column},
            {name: value for name, value in options.items() if value},
        )

    @property
    def split(self) -> Split:
        given = self.cleaned_data
        return Split(given["validation"], given["seed"], given["group_by"])

    @property
    def role_fields(self) -> Iterator[forms.BoundField]:
        return (self[f"role_{role.name}"] for role in self.layout.roles)

    @property
    def option_fields(self) -> Iterator[forms.BoundField]:
        return (self[f"option_{name}"] for name in OPTIONS)

    @property
    def option_errors(self) -> bool:
        return any(name.startswith("option_") for name in self.errors)

    @property
    def split_fields(self) -> Iterator[forms.BoundField]:
        return (self[name] for name in ("validation", "seed", "group_by"))


def initial_of(mapping: ColumnMapping) -> dict[str, Any]:
    """The form's initial values for a mapping."""
    roles = {f"role_{name}": column for name, column in mapping.columns.items()}
    options = {f"option_{name}": value for name, value in mapping.options.items()}
    return {"shape": mapping.shape, "target": mapping.target, **roles, **options}
