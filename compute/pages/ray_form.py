"""The form on a Ray cluster that is there already."""

import re
from urllib.parse import urlsplit

from django import forms

from compute.pages.forms import MachineForm
from compute.pages.seen_form import CODE, NEW, KeptForm, rental_field
from compute.runners.ssh import workdir

FIELDS = ("name", "ray_address", "workdir", "python", "verl", "slots", "rental_ends_at")
ADDRESS = re.compile(r"https?://[\w.\[\]:%-]+")
PYTHON = re.compile(r"python3?(\.\d+)?")


class RayForm(KeptForm):
    """A Ray cluster that is there, reached by its dashboard. An empty token stays as it is."""

    compared = FIELDS

    name = MachineForm.base_fields["name"]
    ray_address = forms.CharField(
        max_length=500, label="Address", widget=forms.TextInput(CODE),
        help_text="Of the cluster's dashboard, such as http://head:8265.",
    )  # fmt: skip
    password = forms.CharField(
        required=False, max_length=1000, widget=forms.PasswordInput(NEW), strip=False,
        label="Token", help_text="Where the cluster asks for one: ray get-auth-token prints it.",
    )  # fmt: skip
    workdir = forms.CharField(
        max_length=500, label="Work folder", strip=False, widget=forms.TextInput(CODE),
        help_text="A whole path, at which all nodes see the same folder. Runs are kept below it.",
    )  # fmt: skip
    verl = forms.ChoiceField(label="Release of verl", choices=list)
    python = forms.CharField(
        max_length=500, label="Python", initial="python", widget=forms.TextInput(CODE),
        help_text="It starts the runs, and must have verl: python is what the nodes find by "
        "themselves. Workers of RL runs have the Python that Ray was started with.",
    )  # fmt: skip
    slots = MachineForm.base_fields["slots"]
    rental_ends_at = rental_field()

    @property
    def secrets(self) -> dict[str, str]:
        """The token, when one was given."""
        text = self.cleaned_data.get("password") or ""
        return {"password": text} if text else {}

    def clean_ray_address(self) -> str:
        text: str = self.cleaned_data["ray_address"].rstrip("/")
        try:
            parts = urlsplit(text)
            whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            whole = False
        if not whole or not ADDRESS.fullmatch(text):
            raise forms.ValidationError(
                "The address of a dashboard is http:// or https://, a host and a port, and no "
                "more: http://head:8265."
            )
        return text

    def clean_password(self) -> str:
        text: str = self.cleaned_data["password"]
        if not text.isascii() or not text.isprintable() or " " in text:
            raise forms.ValidationError("A token is one word of plain letters and digits.")
        return text

    def clean_workdir(self) -> str:
        text: str = self.cleaned_data["workdir"]
        if not text.isprintable() or not text.startswith("/"):
            raise forms.ValidationError("The work folder of a cluster is a whole path: /shared/me.")
        try:
            return workdir.resolve(text, "")
        except ValueError as error:
            raise forms.ValidationError(str(error)) from None

    def clean_python(self) -> str:
        text: str = self.cleaned_data["python"]
        if not text.isprintable() or not (text.startswith("/") or PYTHON.fullmatch(text)):
            raise forms.ValidationError("A Python is python, or a whole path that begins with /.")
        return text
