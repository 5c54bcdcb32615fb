"""What a page or a command looks for in a log."""

from typing import Any

from django import forms

from jobs.models import Job
from monitoring.logs.question import LEVELS, Question, fault_of
from platform_site.fields import LONGEST_WORDS

LEVEL_LABELS = {
    "error": "errors",
    "warning": "warnings and worse",
    "info": "info and worse",
    "debug": "any level",
}
ALL = "all"
MOST = 2**53
MOST_RANK = 99_999


class LogForm(forms.Form):
    """All fields may be missing. ``of``, ``start`` and ``line`` say where a search goes on: in
    which attempt's log, and where in it."""

    q = forms.CharField(
        required=False,
        max_length=LONGEST_WORDS,
        strip=False,
        label="Search",
        widget=forms.TextInput(attrs={"type": "search", "data-search": True}),
    )
    regex = forms.BooleanField(required=False, label="Regular expression")
    level = forms.ChoiceField(
        choices=[("", "all lines"), *((name, LEVEL_LABELS[name]) for name in LEVELS)],
        required=False,
        label="Level",
    )
    rank = forms.IntegerField(required=False, min_value=0, max_value=MOST_RANK, label="Rank")
    actor = forms.CharField(
        required=False,
        max_length=100,
        label="Actor",
        widget=forms.TextInput(attrs={"list": "log-actors"}),
    )
    of = forms.IntegerField(required=False, min_value=1, max_value=MOST)
    start = forms.IntegerField(required=False, min_value=0, max_value=MOST)
    line = forms.IntegerField(required=False, min_value=1, max_value=MOST)
    shown = forms.IntegerField(required=False, min_value=0, max_value=MOST)

    def __init__(self, job: Job, data: Any = None) -> None:
        super().__init__(data)
        self.job = job
        before = [(str(number), str(number)) for number in range(job.attempt - 1, 0, -1)]
        self.fields["attempt"] = forms.ChoiceField(
            choices=[("", f"{job.attempt}, the newest"), *before, (ALL, "all")],
            required=False,
            label="Attempt",
        )

    @property
    def attempts(self) -> list[int]:
        """The attempts whose logs are searched, in their order."""
        asked = self.cleaned_data.get("attempt") or self.job.attempt
        return [*range(1, self.job.attempt + 1)] if asked == ALL else [int(asked)]

    @property
    def asked_for(self) -> list[forms.BoundField]:
        """The fields that stand on a page."""
        names = ["q", "regex", "level", "rank", "actor"]
        return [self[name] for name in (*names, *(["attempt"] if self.job.attempt > 1 else []))]

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if given.get("regex") and given.get("q") and (why := fault_of(given["q"])):
            self.add_error("q", why)
        return given

    def question(self) -> Question:
        given = self.cleaned_data
        return Question(
            words=given["q"],
            is_regex=given["regex"],
            level=given["level"],
            rank=given["rank"],
            actor=given["actor"],
        )
