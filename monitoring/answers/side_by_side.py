"""The answers to one prompt side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monitoring.answers.advantage import Method
from monitoring.answers.checking import advantage_of
from monitoring.answers.figures import Figures
from monitoring.answers.prompts import Prompt, known, prompt_at
from monitoring.answers.question import About, is_cut
from monitoring.answers.repetition import repetition
from monitoring.answers.rows import NO_PARTS, Row, shown, text_of
from monitoring.answers.secrets import hidden, input_of, output_of
from monitoring.answers.step import Ints, Step
from monitoring.answers.turns import Turn, turns_of

MOST = 64  # answers side by side
ROOM = 300_000  # characters of all texts together
MOST_PARTS = 20  # keys of a row beside verl's own
LONGEST_PART = 100  # characters of the value of one


@dataclass(frozen=True)
class Text:
    """A text as far as it is shown, its length, and the same as a conversation."""

    shown: str
    length: int
    role: str

    @property
    def left_out(self) -> int:
        return self.length - len(self.shown)

    @property
    def turns(self) -> Sequence[Turn]:
        return turns_of(self.shown, self.role)


@dataclass(frozen=True)
class Answer:
    text: Text
    tokens: int | None
    score: float | None
    said: str  # what stands as the score where that is no number
    advantage: float | None
    is_cut: bool
    repetition: float | None
    truth: str
    uid: str
    parts: Sequence[tuple[str, str]]  # all other keys of the row


@dataclass(frozen=True)
class Answers:
    """A prompt, and those of its answers that are shown."""

    key: str
    mark: int  # of its text, by which it is found in other steps
    prompt: Prompt
    text: Text
    shown: Sequence[Answer]
    unit: str
    why_no_advantage: str

    @property
    def more(self) -> int:
        return self.prompt.rows - len(self.shown)


@dataclass(frozen=True)
class _Room:
    """Characters that a text may have, and what must not be in it."""

    each: int
    secrets: Sequence[str]

    def text(self, whole: str, role: str) -> Text:
        return Text(shown(whole[: self.each]), len(whole), role)

    def short(self, value: object) -> str:
        return shown(hidden(text_of(value)[: LONGEST_PART * 10], self.secrets)[:LONGEST_PART])


def answers_of(
    step: Step,
    key: str,
    about: About | None = None,
    method: Method | None = None,
    room: int = ROOM,
) -> Answers | None:
    """The answers to the prompt with a key of the list, or None where there is no such prompt.

    Raises ``OSError``.
    """
    at = step.place_of(key)
    if at is None:
        return None
    about = about or About()
    every = np.flatnonzero(step.prompt == at)
    text, found, why = some_answers(step, every[:MOST], about, method or Method(), room)
    figures = Figures(step)
    nothing = np.full(step.prompts, np.nan)
    beginning = text.shown if text else ""
    prompt = prompt_at(figures, at, beginning, np.zeros(step.prompts, np.int64), nothing)
    text = text or Text("", 0, "user")
    return Answers(key, int(step.texts[at]), prompt, text, found, step.unit, why)


def some_answers(
    step: Step, rows: Ints, about: About, method: Method, room: int
) -> tuple[Text | None, list[Answer], str]:
    """The answers in these rows, which are to one prompt, and its text: the first that there is;
    and why they have no advantages. All texts have the room together. Raises ``OSError``."""
    space = _Room(max(1_000, room // (len(rows) + 1)), about.secrets)
    advantage, why = advantage_of(step, method)
    cut = is_cut(step, about.limit)
    whole, found = "", list[Answer]()
    for place, row in zip(rows.tolist(), step.rows(rows), strict=True):
        whole = whole or input_of(row, about.secrets)
        is_at_limit = cut is not None and bool(cut[place])
        found.append(_answer(step, place, row, space, known(advantage[place]), is_at_limit))
    return space.text(whole, "user") if len(rows) else None, found, why


def _answer(
    step: Step, at: int, row: Row, space: _Room, advantage: float | None, is_at_limit: bool
) -> Answer:
    output = output_of(row, space.secrets)
    score, tokens = known(step.score[at]), int(step.tokens[at])
    parts = [name for name in row if name not in NO_PARTS][:MOST_PARTS]
    return Answer(
        text=space.text(output, "assistant"),
        tokens=tokens if tokens >= 0 else None,
        score=score,
        said="" if score is not None else space.short(row.get("score")),
        advantage=advantage,
        is_cut=is_at_limit,
        repetition=known(repetition(output)),
        truth=space.short(row.get("gts")),
        uid=space.short(row.get("uid")),
        parts=[(space.short(name), space.short(row[name])) for name in parts],
    )
