"""What a page or a command asks of the answers of a run."""

import math
import re
from typing import Any

from django import forms

from datasets.forms import no_at
from monitoring.answers.question import ANSWERS, PART, PROMPTS, SORTS, Question
from platform_site.fields import LONGEST_WORDS, one_line

ROLLOUTS, VALIDATION = "rollouts", "validation"
KINDS = {ROLLOUTS: "Rollouts", VALIDATION: "Validation"}
LISTS = {PROMPTS: "prompts", ANSWERS: "answers"}
ONLY_LABELS = {
    "": "all",
    "flat": "prompts without deviation",
    "missing": "prompts with failed answers",
    "changed": "prompts changed since the step before",
    "correct": "correct answers",
    "wrong": "wrong answers",
    "cut": "answers at the limit of tokens",
    "empty": "empty answers",
    "unscored": "answers without a score",
}
VIEWS = {"turns": "As a conversation", "raw": "Raw"}
MOST = 2**53
LONGEST_NAME = 200
LONGEST_DATA_SET = 100
FILTERS = (
    "q", "low", "high", "shortest", "longest", "part", "part_low", "part_high", "only",
)  # fmt: skip
PAIRS = (
    ("low", "high", "score"),
    ("shortest", "longest", "length"),
    ("part_low", "part_high", "value of the part"),
)


def a_figure(number: float) -> None:
    if not math.isfinite(number):
        raise forms.ValidationError("Enter a number.")


def figure(label: str) -> forms.FloatField:
    return forms.FloatField(required=False, validators=[a_figure], label=label)


class TextsForm(forms.Form):
    """What is asked of any list of prompts or answers."""

    q = forms.CharField(
        required=False,
        max_length=LONGEST_WORDS,
        strip=False,
        label="Search",
        widget=forms.TextInput(attrs={"type": "search", "data-search": True}),
    )
    regex = forms.BooleanField(required=False, label="Regular expression")
    page = forms.IntegerField(required=False, min_value=1, max_value=MOST, label="Page")
    prompt = forms.RegexField(r"\A[0-9a-f]{16}\Z", required=False, label="Prompt")
    view = forms.ChoiceField(choices=[*VIEWS.items()], required=False, label="Show texts")

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if given.get("regex") and given.get("q") and (why := fault_of(given["q"])):
            self.add_error("q", why)
        return given

    @property
    def is_raw(self) -> bool:
        return bool(self.cleaned_data.get("view") == "raw")

    @property
    def carried(self) -> list[forms.BoundField]:
        """The fields that links set."""
        return [self[name] for name in ("sort", "page", "prompt", "view")]


class AnswersForm(TextsForm):
    """All fields may be missing: then the newest step of the rollouts is shown, whole."""

    kind = forms.ChoiceField(choices=[*KINDS.items()], required=False, label="Answers")
    step = forms.IntegerField(required=False, min_value=0, max_value=MOST, label="Step")
    of = forms.ChoiceField(choices=[*LISTS.items()], required=False, label="List")
    only = forms.ChoiceField(choices=[*ONLY_LABELS.items()], required=False, label="Only")
    low = figure("Score from")
    high = figure("Score to")
    shortest = figure("Length from")
    longest = figure("Length to")
    part = forms.CharField(
        required=False,
        max_length=LONGEST_NAME,
        label="Part of the reward",
        widget=forms.TextInput(attrs={"list": "answer-parts", "autocomplete": "off"}),
    )
    part_low = figure("Part from")
    part_high = figure("Part to")
    sort = forms.CharField(required=False, max_length=LONGEST_NAME + 10, label="Sort")

    def clean_sort(self) -> str:
        """A sort of the other list, which a link may carry over, is none."""
        sort = str(self.cleaned_data["sort"])
        name = sort.removeprefix("-")
        if name and name not in {*SORTS[PROMPTS], *SORTS[ANSWERS]} and not name.startswith(PART):
            raise forms.ValidationError(f"Select a valid choice. {sort} is none.")
        of = self.cleaned_data.get("of") or PROMPTS
        fits = name in SORTS[of] or (of == ANSWERS and name.startswith(PART))
        return sort if fits else ""

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        for lowest, highest, what in PAIRS:
            low, high = given.get(lowest), given.get(highest)
            if low is not None and high is not None and low > high:
                self.add_error(highest, f"The highest {what} is below the lowest.")
        if not given.get("part") and "part" in given:
            bounds = [given.get("part_low"), given.get("part_high")]
            if bounds != [None, None]:
                self.add_error("part", "Name the part that these bounds are of.")
        return given

    @property
    def kind_asked(self) -> str:
        return str(self.cleaned_data.get("kind") or ROLLOUTS)

    @property
    def kind_label(self) -> str:
        return KINDS[self.kind_asked]

    @property
    def is_filtered(self) -> bool:
        return any(self.data.get(name) for name in FILTERS)

    @property
    def list_label(self) -> str:
        return LISTS[self.cleaned_data.get("of") or PROMPTS].capitalize()

    @property
    def first(self) -> list[forms.BoundField]:
        """The fields that always stand there."""
        return [self[name] for name in ("kind", "step", "of", "q", "regex", "only")]

    @property
    def more(self) -> list[forms.BoundField]:
        return [self[name] for name in FILTERS if name not in ("q", "only")]

    @property
    def has_more(self) -> bool:
        """Whether one of the folded fields holds something."""
        return any(self.data.get(field.name) for field in self.more)

    def question(self) -> Question:
        given = self.cleaned_data
        return Question(
            of=given["of"] or PROMPTS,
            words=given["q"],
            is_regex=given["regex"],
            low=given["low"],
            high=given["high"],
            shortest=given["shortest"],
            longest=given["longest"],
            part=given["part"],
            part_low=given["part_low"],
            part_high=given["part_high"],
            only=given["only"],
            sort=given["sort"],
            page=given["page"] or 1,
        )


def fault_of(pattern: str) -> str:
    """What is wrong with a regular expression, and where; empty for a right one."""
    try:
        re.compile(pattern)
    except re.error as error:
        at = f" at character {error.pos + 1}" if error.pos is not None else ""
        return f"This is no regular expression: {error.msg}{at}."
    except (OverflowError, RecursionError):
        return "This regular expression is too large."
    return ""


class TakeForm(forms.Form):
    """What shall be done with the answers that are shown."""

    do = forms.ChoiceField(choices=[("data", "Make a data set"), ("reward", "Try a reward")])
    name = forms.CharField(
        required=False, max_length=LONGEST_DATA_SET, validators=[one_line, no_at], label="Name"
    )

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if given.get("do") == "data" and "name" in given and not given["name"]:
            self.add_error("name", "Name the data set.")
        return given
