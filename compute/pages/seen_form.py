"""What the forms on machines have in common: they write only what their user changed."""

from datetime import datetime
from typing import Any

from django import forms
from django.conf import settings

from compute import environments, rental
from compute.machines.errors import MachineError
from compute.machines.local import LOCAL_NAME
from compute.models import Machine

CODE = {"spellcheck": "false", "autocomplete": "off"}
# A browser fills in the password of this site, unless it is told that a new one is asked for.
NEW = {"spellcheck": "false", "autocomplete": "new-password"}


def rental_field() -> forms.DateTimeField:
    return forms.DateTimeField(
        required=False, label="Rental ends",
        widget=forms.DateTimeInput(CODE | {"placeholder": "2026-11-30 18:00"}, "%Y-%m-%d %H:%M"),
        error_messages={"invalid": "Write a date and a time, such as 2026-11-30 18:00."},
        help_text="When a rented machine is taken away, such as 2026-11-30 18:00, in the time zone "
        f"{settings.TIME_ZONE}. "
        "Runs save and pause before it, and none starts too late to. Empty: it has no end.",
    )  # fmt: skip


class SeenForm(forms.Form):
    """A form on a machine that may change while the form is open, by a set-up or in another tab.

    It carries what it showed, so that only what its user changed is written, and a field that
    others changed as well is told instead of overwritten.
    """

    compared: tuple[str, ...] = ()

    def __init__(self, data: Any = None, *, machine: Machine | None, **options: Any) -> None:
        super().__init__(data, **options)
        self.machine = machine
        for name in self.compared if machine else ():
            shown = data is None or self.add_initial_prefix(name) in data
            self.fields[name].show_hidden_initial = shown

    @property
    def values(self) -> dict[str, Any]:
        """What is to be written: of a machine that is there, what the user changed."""
        mine = self.compared if self.machine is None else self.changed_data
        return {name: self.cleaned_data[name] for name in self.compared if name in mine}

    def clean_rental_ends_at(self) -> datetime | None:
        before = self.machine.rental_ends_at if self.machine else None
        try:
            return rental.checked(self.cleaned_data["rental_ends_at"], before)
        except MachineError as error:
            raise forms.ValidationError(str(error)) from None

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for name in self.compared if self.machine else ():
            if name in self.changed_data and name in cleaned:
                self._compare(name, getattr(self.machine, name), cleaned[name])
        return cleaned

    def _compare(self, name: str, now: Any, given: Any) -> None:
        """Refuse to overwrite a value that changed since the form was shown; sent again, it is."""
        key = self.add_initial_prefix(name)
        if key not in self.data or now in (self._seen(name, key), given):
            return
        field = self.fields[name]
        text = str(field.widget.format_value(field.prepare_value(now)) or "")
        sent: Any = self.data.copy()  # type: ignore[attr-defined]
        sent[key] = text
        self.data = sent
        self.add_error(
            name,
            f"Meanwhile it was changed to {text or 'nothing'}. Send again to have yours instead.",
        )

    def _seen(self, name: str, key: str) -> Any:
        try:
            return self.fields[name].to_python(self.data[key])
        except forms.ValidationError:
            return ...  # differs from every value that a page has shown


class KeptForm(SeenForm):
    """A form on a whole machine with secrets: which are kept, and boxes that remove them."""

    def __init__(self, data: Any = None, *, machine: Machine | None = None) -> None:
        initial = {name: getattr(machine, name) for name in self.compared} if machine else {}
        super().__init__(data, machine=machine, initial=initial)
        self.kept = {secret.name: secret for secret in machine.secrets.all()} if machine else {}
        choices = environments.releases()
        if machine and machine.verl not in choices:
            choices = [machine.verl, *choices]
        self.fields["verl"].choices = [(one, one) for one in choices]  # type: ignore[attr-defined]
        for name, secret in self.kept.items():
            self.fields[f"forget_{name}"] = forms.BooleanField(
                required=False, label=f"Remove the {secret.label}"
            )

    @property
    def forget(self) -> list[str]:
        return [name for name in self.kept if self.cleaned_data.get(f"forget_{name}")]

    def clean_name(self) -> str:
        return checked_name(self.cleaned_data["name"], self.machine)


def checked_name(name: str, machine: Machine | None = None) -> str:
    if not name.isprintable() or name.startswith("-"):
        raise forms.ValidationError(
            "A name is one line of printable characters and does not begin with a dash."
        )
    same = Machine.objects.filter(name__iexact=name)
    if machine:
        same = same.exclude(pk=machine.pk)
    if name.lower() == LOCAL_NAME or same.exists():
        raise forms.ValidationError("There is a machine of that name already.")
    return name
