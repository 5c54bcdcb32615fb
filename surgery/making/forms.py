"""What the forms of surgery share: the machine, the name, the folders, and the check of all."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib.auth.models import User

from compute.machines.local import local_machine
from compute.models import Machine
from datasets.models import Version
from jobs.artifacts.keeping import called
from jobs.kinds.base import Spec
from jobs.launch.once import OnceForm
from jobs.models import Place
from platform_site.fields import one_line
from surgery.making.checks import SurgeryError, check_machine, check_places
from surgery.making.offered import LONGEST_PATH, words

LONGEST_LIST = 70_000  # characters


class Wrong(SurgeryError):
    """What is wrong with one field."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class MakeForm(OnceForm):
    """A form whose job works on models of one machine. ``spec`` is what the job is asked, once the
    form is valid: all that can be known here was checked."""

    machine = forms.ModelChoiceField(
        Machine.objects.none(), label="Machine", empty_label=None,
        help_text="Where the models lie.",
    )  # fmt: skip
    name = forms.CharField(
        max_length=200,
        required=False,
        label="Name",
        help_text="Without one, the job is named by what it does.",
        validators=[one_line],
    )
    last = ("machine", "name")  # of the fields, after those of the kind
    spec: Any = None
    dataset_version: Version | None = None  # of the valid form, whose rows the job reads
    details: Sequence[str] = ()  # of the valid form, what the check says of each model

    def __init__(self, user: User, data: Any = None, **more: Any) -> None:
        super().__init__(data, **more)
        self.user = user
        self.fields["machine"].queryset = Machine.objects.for_jobs()  # type: ignore[attr-defined]
        self.initial.setdefault("machine", local_machine().pk)
        own = [name for name in self.fields if name not in self.last]
        self.order_fields([*own, *self.last])

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        if not self.errors:
            try:
                self.spec = self.asked(given)
                check_machine(given["machine"], self.spec)
                self.check_inputs(given)
            except Wrong as error:
                self.add_error(error.field, str(error))
            except SurgeryError as error:
                self.add_error("machine", str(error))
        return given

    def asked(self, given: dict[str, Any]) -> Spec:
        """The spec of the job. Raises ``Wrong``."""
        raise NotImplementedError

    def check_inputs(self, given: dict[str, Any]) -> None:
        """Look at the folders that are read. Raises ``SurgeryError``."""

    def default_name(self) -> str:
        raise NotImplementedError

    @property
    def job_name(self) -> str:
        """What the job of the valid form is called."""
        return str(self.cleaned_data["name"] or self.default_name())

    def called(self, path: str) -> str:
        return called(path, self.cleaned_data["machine"])

    def offer(self, field: str, places: Sequence[Place], none: str = "") -> None:
        """Let a field offer these folders; ``none`` is the choice of no folder."""
        first = [("", none)] if none else []
        choices = [*first, *{place.path: words(place) for place in places}.items()]
        self.fields[field].choices = choices  # type: ignore[attr-defined]

    def check_models(self, field: str, paths: Sequence[str], machine: Machine) -> None:
        """Raises ``Wrong`` where one cannot be read."""
        try:
            check_places(paths, machine, self.user)
        except SurgeryError as error:
            raise Wrong(field, str(error)) from error


def several_models(help_text: str, label: str = "Models") -> forms.MultipleChoiceField:
    return forms.MultipleChoiceField(
        label=label,
        required=False,
        help_text=help_text,
        widget=forms.SelectMultiple(attrs={"size": 6}),
    )


def lines_of_paths(label: str = "Models by path") -> forms.CharField:
    return forms.CharField(
        required=False,
        max_length=LONGEST_LIST,
        label=label,
        help_text="Folders of the machine, one on each line.",
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
    )


def lines(text: str) -> list[str]:
    """The lines that say something, without the space around them."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def numbers_in(text: str, field: str) -> list[float]:
    """The numbers that a field names, between spaces or commas. Raises ``Wrong``."""
    found = []
    for word in text.replace(",", " ").split():
        try:
            found.append(float(word))
        except ValueError:
            raise Wrong(field, f"{word} is no number.") from None
    return found


def a_path(label: str, help_text: str) -> forms.CharField:
    return forms.CharField(
        required=False, max_length=LONGEST_PATH, label=label, help_text=help_text
    )


def a_model(label: str, help_text: str = "What a job made.") -> forms.ChoiceField:
    return forms.ChoiceField(required=False, label=label, help_text=help_text)


def one_path(given: dict[str, Any], field: str) -> str:
    """The folder that a list or the field beside it names. Raises ``Wrong``."""
    picked, typed = given[field], given[f"{field}_path"].strip()
    if picked and typed and picked != typed:
        raise Wrong(f"{field}_path", "Choose one of the list, or write a path, and not both.")
    if not (picked or typed):
        raise Wrong(field, "Choose a model, or write its path below.")
    return str(picked or typed)
