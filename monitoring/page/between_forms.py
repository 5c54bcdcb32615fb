"""What a page or a command asks of the answers of several runs to the same prompts."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms

from jobs.models import Job
from monitoring.answers.between import BETTER, SAME, SORTS, UNKNOWN, WORSE
from monitoring.answers.question import Question
from monitoring.page.answer_forms import KINDS, MOST, TextsForm

ONLY_LABELS = {
    "": "all",
    BETTER: "got better",
    WORSE: "got worse",
    SAME: "score the same",
    UNKNOWN: "without a score",
}
LETTERS = "ABCDEFGH"
STEP = "step_"  # with the run's id the name of the field


class BetweenForm(TextsForm):
    """All fields may be missing. Each run has a field for its step, and its letter."""

    kind = forms.ChoiceField(
        choices=[("", "what all have"), *KINDS.items()], required=False, label="Answers"
    )
    only = forms.ChoiceField(choices=[*ONLY_LABELS.items()], required=False, label="Prompts that")
    sort = forms.RegexField(
        rf"\A-?({SORTS[0]}|({'|'.join(SORTS[1:])}):[1-{len(LETTERS)}])\Z",
        required=False,
        label="Sort",
        error_messages={"invalid": "Sort by change, mean:N or length:N, where N counts the runs."},
    )

    def __init__(self, data: Any, jobs: Sequence[Job]) -> None:
        super().__init__(data)
        self.jobs = jobs
        self.fields["q"].label = "Search the prompts"
        letters = [*zip(LETTERS, jobs, strict=False)]
        for letter, job in letters:
            self.fields[step_name(job)] = forms.IntegerField(
                required=False, min_value=0, max_value=MOST, label=f"Step of {letter}"
            )
        others = [(job.pk, letter) for letter, job in letters[1:]]
        self.fields["other"] = forms.ChoiceField(
            choices=[("", "the second run"), *others], required=False, label="Better or worse is"
        )

    @property
    def is_filtered(self) -> bool:
        return any(self.data.get(name) for name in ("q", "only"))

    @property
    def first(self) -> list[forms.BoundField]:
        """The fields of the page; which run is compared with the first is asked where there are
        several."""
        names = ["kind", *map(step_name, self.jobs), "q", "regex", "only"]
        return [self[name] for name in (*names, *(["other"] if len(self.jobs) > 2 else []))]

    @property
    def other(self) -> int | None:
        """The run whose difference from the first counts."""
        return int(self.cleaned_data["other"]) if self.cleaned_data.get("other") else None

    @property
    def kind_asked(self) -> str:
        return str(self.cleaned_data.get("kind") or "")

    @property
    def steps_asked(self) -> dict[int, int | None]:
        """By the run's id."""
        return {job.pk: self.cleaned_data.get(step_name(job)) for job in self.jobs}

    def hold(self, steps: Mapping[int, int]) -> None:
        """Let an empty field say which step is shown."""
        for pk, step in steps.items():
            self.fields[f"{STEP}{pk}"].widget.attrs["placeholder"] = step

    def question(self) -> Question:
        given = self.cleaned_data
        return Question(
            words=given["q"],
            is_regex=given["regex"],
            only=given["only"],
            sort=given["sort"],
            page=given["page"] or 1,
        )


def step_name(job: Job) -> str:
    return f"{STEP}{job.pk}"
