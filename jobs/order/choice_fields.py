"""Form fields that choose a row of the database by its number or by its name."""

from typing import Any

from django import forms

from compute.models import Machine
from datasets.models import Version
from datasets.services import find_version
from platform_site.fields import LONGEST_WORDS


def is_a_word(value: Any) -> bool:
    """Whether a database can look for it, and anything could be called so."""
    return len(str(value)) <= LONGEST_WORDS and str(value).isprintable()


class MachineField(forms.ModelChoiceField):  # type: ignore[type-arg]
    """A machine that may get jobs, by its id or its name."""

    def __init__(self) -> None:
        super().__init__(Machine.objects.for_jobs(), empty_label=None)

    def to_python(self, value: Any) -> Machine | None:
        if not is_a_word(value):
            raise forms.ValidationError("No machine is called so.")
        if value and not str(value).isdecimal():
            there = Machine.objects.for_jobs()
            named = there.filter(name__iexact=value).first()
            if named is None:
                known = ", ".join(there.values_list("name", flat=True))
                raise forms.ValidationError(f"No run can go to {value}. There are: {known}.")
            value = named.pk
        machine: Machine | None = super().to_python(value)
        return machine


class VersionField(forms.ModelChoiceField):  # type: ignore[type-arg]
    """A version of a data set: its id, ``name@3``, or ``name`` for the newest."""

    def __init__(self, target: str) -> None:
        self.target = target
        versions = Version.objects.ready().for_target(target).select_related("dataset")
        super().__init__(
            versions.newest_first(),
            required=False,
            label="Data set",
            empty_label="The files named below",
            help_text="A version fills both files.",
        )

    def to_python(self, value: Any) -> Version | None:
        if not is_a_word(value):
            raise forms.ValidationError("No data set is called so.")
        if value and not str(value).isdecimal():
            try:
                value = find_version(str(value), self.target).pk
            except ValueError as error:
                raise forms.ValidationError(str(error)) from None
        version: Version | None = super().to_python(value)
        return version


def with_files(data: Any, field: VersionField) -> Any:
    """The form's data, with the files of the version that they name."""
    try:
        version = field.to_python(data.get("dataset")) if data else None
    except forms.ValidationError:
        return data
    if version is None:
        return data
    data = data.copy()
    data["train_files"], data["val_files"] = version.train_file, version.val_file
    return data
