"""Faults that a row can have: one table for import, conversion and check."""

from collections.abc import Mapping
from typing import NamedTuple


class Fault(NamedTuple):
    """A short label for a table, and advice on how to repair the fault."""

    label: str
    advice: str


CODES: Mapping[str, Fault] = {
    # codes of a row that cannot be read
    "broken_json": Fault("Broken JSON", "Mend the line in the file and import it again."),
    "not_object": Fault("Not an object", 'A row is an object such as {"prompt": "…"}.'),
    "duplicate_key": Fault("A key stands twice", "Keep one of the two in the file."),
    "too_long": Fault("Row too large", "Shorten the row, or leave it out of the file."),
    "too_deep": Fault("Nested too deeply", "Flatten the row's lists and objects."),
    "nul": Fault("NUL byte", "The file is damaged or not UTF-8 text: write it anew."),
    "encoding": Fault(
        "Not valid UTF-8",
        "Name the file's encoding when you import it (cp1252 is usual on Windows), or write it as "
        "UTF-8.",
    ),
    "broken_csv": Fault("Broken quotes", "Double each quote within a quoted field."),
    "columns": Fault("Wrong number of columns", "Quote fields that hold commas or line ends."),
    "value": Fault("A value that JSON cannot hold", "Write it as text in the file."),
    # codes of a row that cannot be converted
    "missing_column": Fault("A column is missing", "Map the column, or leave the rows out."),
    "wrong_type": Fault("A column has the wrong type", "Map another column, or mend the rows."),
    "unknown_role": Fault("Unknown role", "Roles are system, user, assistant and tool."),
    "no_messages": Fault("No turns", "Leave these rows out."),
    "no_prompt": Fault("No prompt", "Leave these rows out."),
    "no_answer": Fault("No answer", "SFT learns from assistant turns: add one, or clean."),
    "empty_turn": Fault("Empty turn", "Fill the turn or clean."),
    "missing_truth": Fault("No ground truth", "A rule-based reward needs one: map it, or clean."),
    "different_prompts": Fault("No common prompt", "Both answers must follow the same turns."),
    "not_carried": Fault("What a run cannot read", "Change it in the source, or leave it out."),
    "mixed_types": Fault(
        "A field of another type", "Write the field alike in all rows, such as both as text."
    ),
    "media": Fault("Images and marks differ", "Map the images: each has a mark such as <image>."),
    "filtered": Fault("Left out on purpose", "Nothing to do."),
    # codes that a check of compiled rows finds
    "role_order": Fault("Wrong role order", "Turns go system, then user and assistant in turn."),
    "over_length": Fault("Over the length limit", "Raise the limit, truncate, or clean."),
    "template_refused": Fault("Refused by the chat template", "See the row as the model sees it."),
    "duplicate": Fault("Exact duplicate", "Clean: one of each stays."),
    "near_duplicate": Fault("Near duplicate", "Look at examples, then clean: one of each stays."),
    "overlap": Fault("In train and validation", "Clean: they are removed from validation."),
    "near_overlap": Fault("Nearly in train", "Clean: they are removed from validation."),
    "unknown_source": Fault("Unknown data source", "verl has no scorer for it: give a reward."),
    "same_answers": Fault("Chosen equals rejected", "No preference can be learnt: clean."),
}


def reasons(counts: Mapping[str, int]) -> list[str]:
    """A sentence for each fault that was counted, with what to do about it."""
    return [
        f"{CODES[code].label}: {count}. {CODES[code].advice}"
        for code, count in sorted(counts.items(), key=lambda one: -one[1])
        if code in CODES
    ]


class RowProblem(Exception):
    """One row cannot be used. ``code`` is a key of ``CODES``, ``message`` a sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
