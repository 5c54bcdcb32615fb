"""Forms on machines. No secret is ever put back into a page, not even one that was refused."""

import re
from pathlib import Path
from typing import Any

from django import forms

from compute.machines import groups
from compute.models import Machine, MachineSecret
from compute.pages.seen_form import (
    CODE,
    NEW,
    KeptForm,
    SeenForm,
    checked_name,
    rental_field,
)
from compute.runners.ssh import workdir
from compute.runners.ssh.keys import KeyUnusable, read_private_key
from platform_site.paths import allowed, why_closed
from platform_site.secrets import SecretError

LONGEST_KEY = 20_000
USER = re.compile(r"[\w.][\w.@+\\-]*\$?")
HOST = re.compile(r"[\w:%.-]+")
SECRETS = MachineSecret.Name
FIELDS = (
    "name", "host", "port", "user", "jump_host", "jump_port", "jump_user", "workdir", "python",
    "verl", "slots", "rental_ends_at",
)  # fmt: skip
PAIRS = (("private_key", "passphrase", "password"),
         ("jump_private_key", "jump_passphrase", "jump_password"))  # fmt: skip


class SecretArea(forms.Textarea):
    """A text area that never shows what it is given."""

    def format_value(self, value: Any) -> str:
        return ""


class MachineForm(KeptForm):
    """A machine that is reached by SSH. An empty secret stays as it is."""

    compared = FIELDS

    name = forms.CharField(max_length=70, help_text="As it is called on the pages.")
    host = forms.CharField(
        max_length=253, help_text="Its name or address, without a user and a port."
    )
    port = forms.IntegerField(min_value=1, max_value=65535, initial=22)
    user = forms.CharField(
        max_length=100, help_text="An ordinary user is enough: no root, no sudo, no Docker."
    )
    private_key = forms.CharField(
        required=False, max_length=LONGEST_KEY, label="Private key",
        widget=SecretArea(attrs=NEW | {"rows": 4}),
        help_text="Pasted: OpenSSH or PEM; RSA, ECDSA or Ed25519.",
    )  # fmt: skip
    key_path = forms.CharField(
        required=False, max_length=1000, label="or its file", widget=forms.TextInput(CODE),
        help_text="On the machine that Trainyard runs on, such as ~/.ssh/id_ed25519. It is read "
        "once and kept encrypted.",
    )  # fmt: skip
    passphrase = forms.CharField(
        required=False, max_length=1000, widget=forms.PasswordInput(NEW), strip=False,
        help_text="Of the private key, if it has one.",
    )  # fmt: skip
    password = forms.CharField(
        required=False, max_length=1000, widget=forms.PasswordInput(NEW), strip=False,
        help_text="Of the user. Not needed beside a key.",
    )  # fmt: skip
    workdir = forms.CharField(
        max_length=500, label="Work folder", initial="~/trainyard", strip=False,
        widget=forms.TextInput(CODE), help_text="Runs and the environment are kept below it.",
    )  # fmt: skip
    verl = forms.ChoiceField(label="Release of verl", choices=list)
    python = forms.CharField(
        required=False, max_length=500, label="Python", widget=forms.TextInput(CODE),
        help_text="Of an environment with verl and trainyard_node. Empty: Set up makes one.",
    )  # fmt: skip
    slots = forms.IntegerField(
        min_value=1, max_value=64, initial=1, label="Runs at once",
        help_text="Further ones wait in the queue.",
    )  # fmt: skip
    rental_ends_at = rental_field()
    jump_host = forms.CharField(
        required=False, max_length=253, label="Jump host",
        help_text="Reached first, where the machine is behind one.",
    )  # fmt: skip
    jump_port = forms.IntegerField(
        required=False, min_value=1, max_value=65535, initial=22, label="Its port"
    )
    jump_user = forms.CharField(
        required=False, max_length=100, label="Its user", help_text="Empty: the same user."
    )
    jump_private_key = forms.CharField(
        required=False, max_length=LONGEST_KEY, label="Its private key",
        widget=SecretArea(attrs=NEW | {"rows": 4}),
        help_text="Empty, with no password either: the machine's own key or password is used.",
    )  # fmt: skip
    jump_passphrase = forms.CharField(
        required=False, max_length=1000, widget=forms.PasswordInput(NEW), strip=False,
        label="Passphrase of its key",
    )  # fmt: skip
    jump_password = forms.CharField(
        required=False, max_length=1000, widget=forms.PasswordInput(NEW), strip=False,
        label="Its password",
    )  # fmt: skip

    @property
    def secrets(self) -> dict[str, str]:
        """Those that were given; the others stay as they are."""
        given = {name: self.cleaned_data.get(name) or "" for name in SECRETS.values}
        return {name: text for name, text in given.items() if text}

    def clean_host(self) -> str:
        return _host(self.cleaned_data["host"])

    def clean_jump_host(self) -> str:
        host = self.cleaned_data["jump_host"]
        return _host(host) if host else ""

    def clean_user(self) -> str:
        return _user(self.cleaned_data["user"])

    def clean_jump_user(self) -> str:
        user = self.cleaned_data["jump_user"]
        return _user(user) if user else ""

    def clean_jump_port(self) -> int:
        return self.cleaned_data["jump_port"] or 22

    def clean_workdir(self) -> str:
        text: str = self.cleaned_data["workdir"]
        if not text.isprintable():
            raise forms.ValidationError("A work folder is one line of printable characters.")
        try:
            workdir.resolve(text, "/home/user")
        except ValueError as error:
            raise forms.ValidationError(str(error)) from None
        return text

    def clean_python(self) -> str:
        text: str = self.cleaned_data["python"]
        if text and (not text.isprintable() or not text.startswith(("/", "~/"))):
            raise forms.ValidationError("A Python is a whole path: it begins with / or ~/.")
        return text

    def clean_key_path(self) -> str:
        """Read the key from its file; from here on it is as if its text had been pasted."""
        text: str = self.cleaned_data["key_path"]
        if not text:
            return ""
        path = allowed(text)
        # A key is no file of a run, nor one of Trainyard's own.
        if path is None or (path.is_file() and why_closed(path, None)):
            raise forms.ValidationError(
                "That file is outside the folders that Trainyard may read. Paste the key instead."
            )
        if self.cleaned_data.get("private_key"):
            raise forms.ValidationError("Give the key or its file, not both.")
        self.cleaned_data["private_key"] = _read(path)
        return ""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for key, passphrase, _ in PAIRS:
            self._check_key(key, passphrase)
        can_log_in = any(self._will_have(name) for name in ("private_key", "password"))
        if not can_log_in and not {"private_key", "key_path", "password"} & set(self.errors):
            self.add_error("private_key", "Give a private key or a password: one is needed.")
        return cleaned

    def _will_have(self, name: str) -> bool:
        kept = name in self.kept and not self.cleaned_data.get(f"forget_{name}")
        return bool(self.cleaned_data.get(name)) or kept

    def _check_key(self, key: str, passphrase: str) -> None:
        """Refuse a key that its passphrase does not open, where one of the two is new."""
        given = {name: self.cleaned_data.get(name) or "" for name in (key, passphrase)}
        try:
            text = given[key] or (given[passphrase] and self._opened(key))
            if text:
                read_private_key(text, given[passphrase] or self._opened(passphrase))
        except KeyUnusable as error:
            about_phrase = "passphrase" in str(error)
            self.add_error(passphrase if about_phrase else key, str(error))
        except SecretError as error:
            self.add_error(key, str(error))

    def _opened(self, name: str) -> str:
        gone = name not in self.kept or self.cleaned_data.get(f"forget_{name}")
        return "" if gone else self.kept[name].value.open()


class LocalForm(SeenForm):
    """What can be changed of the machine that Trainyard runs on; the rest is in the settings."""

    slots = MachineForm.base_fields["slots"]
    rental_ends_at = rental_field()
    compared = ("slots", "rental_ends_at")


class RentalForm(SeenForm):
    """The end of a machine's rental alone, on its page."""

    rental_ends_at = rental_field()
    compared = ("rental_ends_at",)

    def __init__(self, data: Any = None, *, machine: Machine) -> None:
        super().__init__(data, machine=machine, initial={"rental_ends_at": machine.rental_ends_at})


class GroupForm(forms.Form):
    """SSH machines together: one a line, the head first."""

    name = forms.CharField(max_length=70, help_text="As it is called on the pages.")
    members = forms.CharField(
        label="Machines", widget=forms.Textarea(CODE | {"rows": 4}),
        help_text="One a line, the head first: a machine's name and, where the others reach it at "
        "another address than Trainyard does, = and that address: node1=10.0.0.1",
    )  # fmt: skip

    def clean_name(self) -> str:
        return checked_name(self.cleaned_data["name"])

    read: list[tuple[Machine, str]]

    def clean_members(self) -> str:
        text: str = self.cleaned_data["members"]
        found = []
        for line in filter(None, map(str.strip, text.splitlines())):
            name, _, address = (part.strip() for part in line.rpartition("="))
            name, address = (name, _host(address)) if name else (line, "")
            machine = Machine.objects.kept().filter(name=name).first()
            if machine is None:
                raise forms.ValidationError(f"There is no machine {name}.")
            found.append((machine, address))
        if problem := groups.why_not(found):
            raise forms.ValidationError(problem)
        self.read = found  # join() takes this, and not the text
        return text


def _host(text: str) -> str:
    if "@" in text:
        raise forms.ValidationError("Write the user into its own field: here is the host only.")
    if "/" in text:
        raise forms.ValidationError("Write the host alone, without ssh:// and without a path.")
    if text.startswith("[") or re.fullmatch(r"[^:]+:\d+", text):
        raise forms.ValidationError("Write the port into its own field: here is the host only.")
    if not HOST.fullmatch(text) or text.startswith("-"):
        raise forms.ValidationError("A host is a name such as gpu.example.org, or an address.")
    return text


def _user(text: str) -> str:
    if not USER.fullmatch(text):
        raise forms.ValidationError("A user is a name such as ada, without spaces.")
    return text


def _read(path: Path) -> str:
    if path.exists() and not path.is_file():
        raise forms.ValidationError("The key's file cannot be read: it is no file.")
    try:
        with path.open() as file:
            text = file.read(LONGEST_KEY + 1)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise forms.ValidationError(f"The key's file cannot be read: {why}.") from None
    if len(text) > LONGEST_KEY:
        raise forms.ValidationError("That file is too large for a key.")
    return text
