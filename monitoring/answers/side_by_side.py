"""The answers to one prompt side by side, and how the same prompt did in the steps beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from monitoring.answers.prompts import BEGINNING, Prompt
from monitoring.answers.rows import (
    OF_VERL,
    LeftOut,
    Row,
    digest,
    is_padding,
    place_of,
    rows_of,
    score_of,
    shown,
    text_of,
)

MOST = 64  # answers side by side
ROOM = 300_000  # characters of all texts together
MOST_PARTS = 20  # keys of a row beside verl's own
LONGEST_PART = 100  # characters of the value of one


@dataclass(frozen=True)
class Text:
    """A text as far as it is shown, and its length."""

    shown: str
    length: int

    @property
    def left_out(self) -> int:
        return self.length - len(self.shown)


@dataclass(frozen=True)
class Answer:
    text: Text
    score: float | None
    said: str  # what stands as the score where that is no number
    truth: str
    uid: str
    parts: Sequence[tuple[str, str]]  # all other keys of the row


@dataclass(frozen=True)
class Answers:
    """The prompt, those of its answers that are shown, and its figures in the steps beside it."""

    key: str
    prompt: Prompt
    text: Text
    shown: Sequence[Answer]
    before: Prompt | None = None
    after: Prompt | None = None

    @property
    def more(self) -> int:
        return self.prompt.rows - len(self.shown)


def answers_of(
    path: Path, key: str, before: Path | None, after: Path | None, room: int = ROOM
) -> Answers | None:
    """The answers to the prompt with a key of the list, or None where there is no such prompt.

    ``before`` and ``after`` are the files of the steps beside it, where the prompt is looked for by
    its text. Raises ``OSError``.
    """
    rows: list[Row] = []
    prompt, whole = None, ""
    known: dict[str, bool] = {}
    for row in rows_of(path, LeftOut()):
        place, begins = place_of(row)
        if place not in known:
            known[place] = digest(place) == key
        if not known[place] or is_padding(row):
            continue
        if prompt is None:
            whole = text_of(row["input"])
            prompt = Prompt(key, whole[:BEGINNING])
        _count(prompt, row, begins)
        if len(rows) < MOST:
            rows.append(_cut(row, room // 4))
    if prompt is None:
        return None
    each = max(1_000, room // (len(rows) + 1))
    return Answers(
        key,
        prompt,
        _text(whole, each),
        [_answer(row, each) for row in rows],
        _same(before, whole),
        _same(after, whole),
    )


def _count(prompt: Prompt, row: Row, begins: bool) -> None:
    prompt.rows += 1
    prompt.answers += begins
    prompt.characters += len(text_of(row.get("output")))
    if (score := score_of(row)) is not None:
        prompt.scores.append(score)


def _cut(row: Row, room: int) -> Row:
    """What is needed of a row: sixty-four of them may be of many MiB each."""
    parts = [name for name in row if name not in OF_VERL][:MOST_PARTS]
    output = text_of(row.get("output"))
    return {
        "output": (output[:room], len(output)),
        "score": row.get("score"),
        "gts": _short(row.get("gts")),
        "uid": _short(row.get("uid")),
        "parts": [(_short(name), _short(row[name])) for name in parts],
    }


def _answer(row: Row, each: int) -> Answer:
    output, length = row["output"]
    score = score_of(row)
    said = "" if score is not None else _short(row["score"])
    return Answer(
        Text(shown(output[:each]), length), score, said, row["gts"], row["uid"], row["parts"]
    )


def _short(value: object) -> str:
    return shown(text_of(value)[:LONGEST_PART])


def _text(text: str, each: int) -> Text:
    return Text(shown(text[:each]), len(text))


def _same(path: Path | None, text: str) -> Prompt | None:
    """The first prompt with the same text in the file of another step."""
    if path is None:
        return None
    found: Prompt | None = None
    wanted = ""
    try:
        for row in rows_of(path, LeftOut()):
            if is_padding(row) or text_of(row["input"]) != text:
                continue
            place, begins = place_of(row)
            if found is None:
                found, wanted = Prompt(digest(place), ""), place
            if place == wanted:
                _count(found, row, begins)
    except OSError:  # it was there when the steps were listed
        return None
    return found
