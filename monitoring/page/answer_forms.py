"""What a page or a command asks of the answers of a run."""

import math
import re
from typing import Any

from django import forms

from monitoring.answers.prompts import SORTS, Question
from platform_site.fields import LONGEST_WORDS

ROLLOUTS, VALIDATION = "rollouts", "validation"
KINDS = {ROLLOUTS: "Rollouts", VALIDATION: "Validation"}
ONLY_LABELS = {"": "all prompts", "flat": "no deviation", "missing": "answers that failed"}
MOST = 2**53


def a_figure(number: float) -> None:
    if not math.isfinite(number):
        raise forms.ValidationError("Enter a number.")


class AnswersForm(forms.Form):
    """All fields may be missing: then the newest step of the rollouts is shown, whole."""

    kind = forms.ChoiceField(choices=[*KINDS.items()], required=False, label="Answers")
    step = forms.IntegerField(required=False, min_value=0, max_value=MOST, label="Step")
    q = forms.CharField(
        required=False,
        max_length=LONGEST_WORDS,
        strip=False,
        label="Search",
        widget=forms.TextInput(attrs={"type": "search", "data-search": True}),
    )
    regex = forms.BooleanField(required=False, label="Regular expression")
    low = forms.FloatField(required=False, validators=[a_figure], label="Mean score from")
    high = forms.FloatField(required=False, validators=[a_figure], label="Mean score to")
    only = forms.ChoiceField(choices=[*ONLY_LABELS.items()], required=False, label="Prompts")
    sort = forms.ChoiceField(
        choices=[("", ""), *((f"{sign}{name}", name) for name in SORTS for sign in ("", "-"))],
        required=False,
        label="Sort",
    )
    page = forms.IntegerField(required=False, min_value=1, max_value=MOST, label="Page")
    prompt = forms.RegexField(r"\A[0-9a-f]{16}\Z", required=False, label="Prompt")

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if given.get("regex") and given.get("q") and (why := fault_of(given["q"])):
            self.add_error("q", why)
        low, high = given.get("low"), given.get("high")
        if low is not None and high is not None and low > high:
            self.add_error("high", "The highest mean score is below the lowest.")
        return given

    @property
    def kind_asked(self) -> str:
        return str(self.cleaned_data.get("kind") or ROLLOUTS)

    @property
    def kind_label(self) -> str:
        return KINDS[self.kind_asked]

    def question(self) -> Question:
        given = self.cleaned_data
        return Question(
            words=given["q"],
            is_regex=given["regex"],
            low=given["low"],
            high=given["high"],
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
