from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib.auth.models import User

from compute.machines.local import local_machine
from compute.models import Machine
from jobs.launch.once import OnceForm
from jobs.models import Job, Place
from platform_site.fields import one_line
from surgery.making.offered import words
from surgery.recipes.methods import METHODS
from surgery.recipes.recipe import DTYPES, LONGEST, RecipeError
from surgery.recipes.sweep import read_range
from surgery.recipes.written import write_recipe


class WriteForm(forms.Form):
    """What a recipe is written of."""

    method = forms.ChoiceField(
        choices=[(name, f"{name}: {method.about}") for name, method in METHODS.items()],
        label="Method",
    )
    models = forms.MultipleChoiceField(
        label="Models",
        required=False,
        help_text="What your jobs made. Those of one merge lie on one machine.",
        widget=forms.SelectMultiple(attrs={"size": 6}),
    )
    more_models = forms.CharField(
        required=False,
        max_length=LONGEST,
        label="Models by path",
        help_text="Folders of the machine, one on each line.",
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    base = forms.CharField(
        required=False, max_length=1000, label="Base model", help_text="The path of its folder."
    )
    parameters = forms.CharField(
        required=False,
        max_length=LONGEST,
        initial="weight: 0.5",
        label="Parameters",
        help_text="One on each line, as name: value. A list has one value for each model.",
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    dtype = forms.ChoiceField(
        required=False,
        choices=[("", "That of the models"), *((name, name) for name in DTYPES)],
        label="Type of the numbers",
    )

    def __init__(self, places: Sequence[Place], data: Any = None, **more: Any) -> None:
        super().__init__(data, **more)
        field = self.fields["models"]
        field.choices = [(place.path, words(place)) for place in places]  # type: ignore[attr-defined]

    def written(self) -> str:
        """The recipe; empty, with an error at the form, where there is none."""
        given = self.cleaned_data
        typed = [line.strip() for line in given["more_models"].splitlines() if line.strip()]
        models = list(dict.fromkeys([*given["models"], *typed]))
        try:
            return write_recipe(
                given["method"], models, given["base"], given["parameters"], given["dtype"]
            )
        except RecipeError as error:
            self.add_error("parameters", str(error))
            return ""


class MergeForm(OnceForm):
    recipe = forms.CharField(
        max_length=LONGEST,
        strip=False,
        label="Recipe",
        help_text="As mergekit reads it. It can be pasted here as it is.",
        widget=forms.Textarea(attrs={"rows": 14, "spellcheck": "false"}),
    )
    machine = forms.ModelChoiceField(
        Machine.objects.none(), label="Machine", empty_label=None,
        help_text="Where the models lie.",
    )  # fmt: skip
    name = forms.CharField(
        max_length=200,
        required=False,
        label="Name",
        help_text="Without one, that of the method.",
        validators=[one_line],
    )

    def __init__(self, user: User, data: Any = None, **more: Any) -> None:
        super().__init__(data, **more)
        self.user = user
        self.fields["machine"].queryset = Machine.objects.for_jobs()  # type: ignore[attr-defined]
        self.initial.setdefault("machine", local_machine().pk)


class SweepForm(MergeForm):
    """A recipe, and the range of one of its parameters."""

    over = forms.CharField(
        max_length=200,
        label="Range",
        help_text="As t=0.1:0.9:0.2: a parameter of the method, from, to and the step. The ratio "
        "of two models, as ratio=0.1:0.9:0.2, is how much the second counts.",
    )
    field_order = ("recipe", "over", "machine", "name")

    def clean_over(self) -> str:
        text: str = self.cleaned_data["over"]
        try:
            read_range(text)
        except RecipeError as error:
            raise forms.ValidationError(str(error)) from error
        return text


class ScoreForm(forms.Form):
    """By whose data and settings the models of a sweep are scored."""

    run = forms.TypedChoiceField(
        coerce=int,
        label="Score by the validation of",
        help_text="A run of SFT on this machine. Each model takes a job of one step with a "
        "learning rate of 0, which changes nothing, and its validation.",
    )

    def __init__(self, runs: Sequence[Job], data: Any = None) -> None:
        super().__init__(data)
        self.runs = {run.pk: run for run in runs}
        field = self.fields["run"]
        field.choices = [(run.pk, f"{run.name} (job {run.pk})") for run in runs]  # type: ignore[attr-defined]

    @property
    def judge(self) -> Job:
        """The run that was chosen, of a valid form."""
        return self.runs[self.cleaned_data["run"]]
