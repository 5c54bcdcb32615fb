"""Form fields that choose a row of the database by its number or by its name."""

from collections.abc import Iterator
from typing import Any

from django import forms
from django.forms.models import ModelChoiceIterator

from compute.models import Machine
from datasets.models import Version
from datasets.services import find_version
from jobs.models import Job
from platform_site.fields import LONGEST_WORDS

OFFERED = 50


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


class Newest(ModelChoiceIterator):  # type: ignore[type-arg]
    """The newest jobs, and the one that is chosen: there may be thousands."""

    def __iter__(self) -> Iterator[tuple[Any, str]]:
        yield "", str(self.field.empty_label or "")
        jobs = self.queryset.order_by("-pk").only("pk", "name")
        newest = list(jobs[:OFFERED])
        chosen = str(getattr(self.field, "chosen", None) or "")
        if chosen not in {str(job.pk) for job in newest} and is_a_number(chosen):
            newest += jobs.filter(pk=int(chosen))
        yield from map(self.choice, newest)


class JobField(forms.ModelChoiceField):  # type: ignore[type-arg]
    """A job to start after: any of them by its number."""

    iterator = Newest

    def label_from_instance(self, obj: Job) -> str:
        return f"{obj.pk} · {obj.name}"

    def get_bound_field(self, form: forms.BaseForm, field_name: str) -> forms.BoundField:
        bound = super().get_bound_field(form, field_name)
        self.chosen = bound.value()
        return bound


def is_a_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 19


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
