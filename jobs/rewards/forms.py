"""The form of "Try reward": the function to try, and the answers. The command uses it too."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django import forms

from datasets.formats.rl_rows import rl_rows
from datasets.formats.scorers import DATA_SOURCES, scorer_of
from datasets.models import Target, Version
from datasets.services import find_version
from jobs.places import places
from jobs.rewards.json_field import JsonField
from jobs.rewards.paths import reward_path
from jobs.rewards.trial import Case, Subject, cases_of, truth_of
from platform_site.bounded.calls import bounded
from platform_site.paths import inside

BETWEEN_ANSWERS = re.compile(r"^-{3,}[ \t]*$", re.MULTILINE)
MOST_CASES = 500
# The field that each place of the prompts is named by, and what is asked for where it is empty.
FIELDS = {"pasted": "data_source", "version": "dataset", "file": "data_file"}
UNNAMED = {"dataset": "Name the data set.", "data_file": "Name the parquet file."}
LONGEST = 200_000


class RewardForm(forms.Form):
    scorer = forms.ChoiceField(
        choices=[("file", "A function in a file"), ("builtin", "verl's own, by data source")],
        initial="file",
        label="Score by",
    )
    path = forms.CharField(
        required=False, max_length=500, label="File", help_text="A Python file on this machine."
    )
    name = forms.CharField(
        required=False, max_length=200, initial="compute_score", label="Name of the function"
    )
    kwargs = JsonField(
        required=False,
        initial=dict,
        label="Further arguments",
        widget=forms.TextInput(attrs={"spellcheck": "false", "autocomplete": "off"}),
        help_text='A JSON object, such as {"strict": 1}.',
    )
    rows = forms.ChoiceField(
        choices=[
            ("pasted", "What I paste"),
            ("version", "A data set"),
            ("file", "A parquet file"),
        ],
        initial="pasted",
        label="Take prompts from",
    )
    question = forms.CharField(
        required=False,
        max_length=LONGEST,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="For you only: verl does not hand it to the function.",
    )
    ground_truth = forms.CharField(
        required=False, max_length=LONGEST, widget=forms.Textarea(attrs={"rows": 2})
    )
    data_source = forms.CharField(
        required=False, max_length=200, help_text="Chooses among verl's own scorers."
    )
    dataset = forms.CharField(
        required=False,
        max_length=300,
        label="Version of a data set",
        help_text="As name@3, or a name for its newest version; its rows for training are read.",
    )
    data_file = forms.CharField(
        required=False, max_length=500, label="Parquet file", help_text="RL data: train or val."
    )
    count = forms.IntegerField(
        required=False, min_value=1, max_value=100, initial=8, label="How many rows, from the first"
    )
    answers_from = forms.ChoiceField(
        choices=[
            ("pasted", "Those below, for every prompt"),
            ("truth", "The ground truth itself"),
            ("column", "A column of the rows"),
        ],
        initial="pasted",
        label="Take answers from",
    )
    column = forms.CharField(
        required=False,
        max_length=200,
        help_text="One answer or a list of them; extra_info.answer reaches inside.",
    )
    answers = forms.CharField(
        required=False,
        max_length=LONGEST,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false"}),
        label="Text of the answers",
        help_text="Several answers with a line of --- between them.",
    )

    def __init__(
        self, data: Any = None, *, read: Callable[[str], Path] = inside, **options: Any
    ) -> None:
        """``read`` gives the real path of a file that may be read for whoever asks."""
        super().__init__(data, **options)
        self.read = read

    def clean_kwargs(self) -> dict[str, Any]:
        kwargs = self.cleaned_data["kwargs"] or {}
        if not isinstance(kwargs, dict):
            raise forms.ValidationError('Write a JSON object, such as {"strict": 1}.')
        return kwargs

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if self.errors:
            return cleaned
        self.subject: Subject | None = self._subject()
        self.column_is_missing = False
        self.cases = list(self._cases())
        if self.column_is_missing:
            self.add_error("column", "This column is missing or empty in some row.")
        if not self.errors and not self.cases:
            self.add_error(None, "There is no answer to score.")
        if len(self.cases) > MOST_CASES:
            self.add_error(None, f"{len(self.cases)} answers; {MOST_CASES} at a time are enough.")
        return cleaned

    def _subject(self) -> Subject | None:
        if self.cleaned_data["scorer"] == "builtin":
            return Subject()
        try:
            real = reward_path(self.cleaned_data["path"], self.read)
        except ValueError as error:
            text = str(error) if self.cleaned_data["path"] else "Name the file of the function."
            self.add_error("path", text)
            return None
        name = self.cleaned_data["name"] or "compute_score"
        return Subject(str(real), name, self.cleaned_data["kwargs"])

    def _cases(self) -> Iterator[Case]:
        place = self.cleaned_data["rows"]
        rows = [self._pasted_row()] if place == "pasted" else self._stored_rows(FIELDS[place])
        sources = {str(row.get("data_source")) for row in rows}
        unknown = sorted(source for source in sources if scorer_of(source) is None)
        if self.cleaned_data["scorer"] == "builtin" and unknown:
            self.add_error(
                FIELDS[place],
                f"verl has no scorer for {unknown[0]!r}. It has for: {', '.join(DATA_SOURCES)}, "
                "and whatever begins with aime.",
            )
            return
        for group, row in enumerate(rows):
            yield from cases_of(row, group, self._answers(row))

    def _pasted_row(self) -> dict[str, Any]:
        truth = self.cleaned_data["ground_truth"]
        return {
            "data_source": self.cleaned_data["data_source"],
            "prompt": [{"role": "user", "content": self.cleaned_data["question"]}],
            "reward_model": {"style": "rule", "ground_truth": typed(truth)},
            "extra_info": {"index": 0},
        }

    def _stored_rows(self, field: str) -> list[dict[str, Any]]:
        text = self.cleaned_data[field]
        if not text:
            self.add_error(field, UNNAMED[field])
            return []
        try:
            if field == "dataset":
                file = inside(find_version(text, Target.RL).train_file)
            else:
                file = self.read(text)
            return bounded(rl_rows, file, self.cleaned_data["count"] or 8)
        except ValueError as error:
            self.add_error(field, str(error))
            return []

    def _answers(self, row: dict[str, Any]) -> list[str]:
        wanted = self.cleaned_data["answers_from"]
        if wanted == "truth":
            return [truth_of(row)]
        if wanted == "column":
            return self._from_column(row)
        return split_answers(self.cleaned_data["answers"])

    def _from_column(self, row: dict[str, Any]) -> list[str]:
        found: Any = row
        for part in self.cleaned_data["column"].split("."):
            found = found.get(part) if isinstance(found, dict) else None
        if found is None:
            self.column_is_missing = True
            return []
        every = found if isinstance(found, list) else [found]
        return [entry if isinstance(entry, str) else json.dumps(entry) for entry in every]

    @property
    def suggestions(self) -> dict[str, list[str]]:
        known = Version.objects.ready().for_target(Target.RL).select_related("dataset")
        versions = list(known.newest_first()[:50])
        files = [file for found in versions for file in (found.val_file, found.train_file) if file]
        return {
            "dataset": [str(version) for version in versions],
            "path": [f"{places()['rewards']}/arithmetic.py"],
            "data_file": files,
            "data_source": list(DATA_SOURCES),
        }


def split_answers(text: str) -> list[str]:
    """Answers, separated by lines of three or more dashes; an empty answer counts too."""
    if not text:
        return []
    return [part.strip("\n") for part in BETWEEN_ANSWERS.split(typed(text))]


def typed(text: str) -> str:
    """The text of a text area with the newlines of a model: browsers send CRLF."""
    return text.replace("\r\n", "\n")
