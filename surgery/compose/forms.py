from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib.auth.models import User

from compute.machines.local import local_machine
from compute.models import Machine
from jobs.launch.once import OnceForm
from jobs.models import Job, Place
from platform_site.fields import one_line
from surgery.making.forms import lines
from surgery.making.offered import LONGEST_PATH, words
from surgery.recipes.filled import Filled
from surgery.recipes.methods import METHODS
from surgery.recipes.recipe import DTYPES, LONGEST, RecipeError
from surgery.recipes.sweep import read_range
from surgery.recipes.vocabulary import AUTO, BASE, FOLDER, MOST_MULTIPLE, TEMPLATES, UNION
from surgery.recipes.written import FieldError, Words, write_recipe

TOKENIZERS = (
    ("", "That of the base or of the first model, as it is"),
    (BASE, "base: the tokens of the base or of the first model"),
    (UNION, "union: the tokens of all models"),
    (FOLDER, "That of a folder"),
)
OWN = "own"  # a template whose text is written in the form
NAMED = ("", AUTO, *TEMPLATES)
TEMPLATE_CHOICES = (
    ("", "That of the tokenizer"),
    (AUTO, "auto: that which most of the models have"),
    *((name, name) for name in TEMPLATES),
    (OWN, "Another, in Jinja"),
)


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
    tokenizer = forms.ChoiceField(
        required=False, choices=TOKENIZERS, label="Tokenizer",
        help_text="With a choice, models of different vocabularies are brought together: a token "
        "keeps the row that a model has for it.",
    )  # fmt: skip
    tokenizer_folder = forms.CharField(
        required=False, max_length=LONGEST_PATH, label="Folder of the tokenizer",
        help_text="Its path on the machine. It may be one of the models.",
    )  # fmt: skip
    tokens = forms.CharField(
        required=False, max_length=LONGEST, label="Single tokens",
        help_text='One on each line: "<|im_end|>": {source: /models/a, force: true}. The source is '
        "a model, {kind: zero}, or {kind: model_token, model: /models/a, token: hello}. With force "
        "all models get that row. A token that is new is added.",
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
    )  # fmt: skip
    multiple = forms.IntegerField(
        required=False, min_value=1, max_value=MOST_MULTIPLE, label="Rows, a multiple of",
        help_text="The embeddings are filled up with the mean of the other rows. Usual: 64 or 128.",
    )  # fmt: skip
    template = forms.ChoiceField(
        required=False, choices=TEMPLATE_CHOICES, label="Chat template",
        help_text="How messages become one text.",
    )  # fmt: skip
    own_template = forms.CharField(
        required=False, max_length=LONGEST, strip=False, label="Text of the template",
        help_text="In Jinja, as a tokenizer has it.",
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
    )  # fmt: skip

    def __init__(self, places: Sequence[Place], data: Any = None, **more: Any) -> None:
        super().__init__(data, **more)
        field = self.fields["models"]
        field.choices = [(place.path, words(place)) for place in places]  # type: ignore[attr-defined]

    def written(self) -> str:
        """The recipe; empty, with an error at the form, where there is none."""
        given = self.cleaned_data
        models = list(dict.fromkeys([*given["models"], *lines(given["more_models"])]))
        try:
            return write_recipe(
                given["method"], models, given["base"], given["parameters"], given["dtype"],
                self._words(given),
            )  # fmt: skip
        except FieldError as error:
            self.add_error(error.field, str(error))
            return ""

    def _words(self, given: dict[str, Any]) -> Words:
        """Raises ``FieldError``."""
        tokenizer, template = given["tokenizer"], given["template"]
        if tokenizer == FOLDER and not given["tokenizer_folder"]:
            raise FieldError("tokenizer_folder", "Write the path of the tokenizer's folder.")
        if not tokenizer and (given["tokens"].strip() or given["multiple"]):
            what = "tokens" if given["tokens"].strip() else "multiple"
            raise FieldError(what, "Choose a tokenizer above: this is a part of it.")
        if template == OWN and not given["own_template"].strip():
            raise FieldError("own_template", "Write the text of the template.")
        return Words(
            given["tokenizer_folder"] if tokenizer == FOLDER else tokenizer,
            given["tokens"],
            given["multiple"],
            given["own_template"].replace("\r\n", "\n") if template == OWN else template,
        )


def fields_of(found: Filled) -> dict[str, Any]:
    """What the fields hold of a recipe that was read."""
    words = found.words
    is_named, is_known = words.tokenizer in ("", BASE, UNION), words.template in NAMED
    return {
        "method": found.method,
        "more_models": "\n".join(found.models),
        "base": found.base,
        "parameters": found.parameters,
        "dtype": found.dtype,
        "tokenizer": words.tokenizer if is_named else FOLDER,
        "tokenizer_folder": "" if is_named else words.tokenizer,
        "tokens": words.tokens,
        "multiple": words.multiple,
        "template": words.template if is_known else OWN,
        "own_template": "" if is_known else words.template,
    }


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
