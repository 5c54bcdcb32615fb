"""The prompts of a step, each with what its answers scored: found, filtered, sorted, a page."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from monitoring.answers.rows import (
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

SIZE = 25  # prompts of a page
BEGINNING = 200  # characters of a prompt in the list
ONLY = ("flat", "missing")
SORTS = ("mean", "deviation", "length")


@dataclass(frozen=True)
class Question:
    """What is asked of the prompts of a step."""

    words: str = ""
    is_regex: bool = False
    low: float | None = None  # of the mean score
    high: float | None = None
    only: str = ""  # of ONLY
    sort: str = ""  # of SORTS, with a minus for the greatest first; empty for the file's order
    page: int = 1


@dataclass(slots=True)
class Prompt:
    """One prompt and what its answers have in common."""

    key: str
    text: str
    rows: int = 0
    answers: int = 0
    missing: int = 0  # answers that the other prompts of the step have and this one lacks
    found: int = 0  # answers in which the words stand
    is_found: bool = False  # whether they stand in the prompt
    characters: int = 0
    scores: list[float] = field(default_factory=list)

    @property
    def mean(self) -> float | None:
        return mean_of(self.scores)

    @property
    def deviation(self) -> float | None:
        """The standard deviation of the scores as GRPO takes it: of a sample."""
        mean = self.mean
        if mean is None or len(self.scores) < 2:
            return None
        try:
            squares = math.fsum((score - mean) ** 2 for score in self.scores)
        except OverflowError:
            return None
        return math.sqrt(squares / (len(self.scores) - 1))

    @property
    def is_flat(self) -> bool:
        """All of several answers score the same: an advantage within the group is zero."""
        return len(self.scores) > 1 and min(self.scores) == max(self.scores)

    @property
    def length(self) -> float:
        """Characters of an answer, on average: the file has no tokens."""
        return self.characters / self.rows if self.rows else 0.0

    @property
    def unscored(self) -> int:
        return self.rows - len(self.scores)


@dataclass(frozen=True)
class Page:
    """The prompts that are shown, and counts of the whole step."""

    shown: Sequence[Prompt]
    matching: int
    prompts: int
    rows: int
    padding: int
    flat: int
    mean: float | None
    left_out: LeftOut


def page_of(path: Path, question: Question) -> Page:
    """The page of prompts that was asked for, or the last one. Raises ``OSError``."""
    left_out, padding, prompts = LeftOut(), 0, dict[str, Prompt]()
    matches = matcher(question)
    for row in rows_of(path, left_out):
        if is_padding(row):
            padding += 1
        else:
            _add(prompts, row, matches)
    every = [*prompts.values()]
    note_missing(every)
    chosen = sorted_by([one for one in every if _is_wanted(one, question)], question.sort)
    last = max(1, math.ceil(len(chosen) / SIZE))
    start = (max(1, min(question.page, last)) - 1) * SIZE
    on_page = chosen[start : start + SIZE]
    for one in on_page:
        one.key, one.text = digest(one.key), shown(one.text)
    scores = [score for one in every for score in one.scores]
    return Page(
        on_page,
        len(chosen),
        len(every),
        sum(one.rows for one in every),
        padding,
        sum(one.is_flat for one in every),
        mean_of(scores),
        left_out,
    )


def mean_of(scores: Sequence[float]) -> float | None:
    """None where there are no scores, or their sum is beyond what a float holds."""
    try:
        return math.fsum(scores) / len(scores) if scores else None
    except OverflowError:
        return None


def matcher(question: Question) -> Callable[[str], object] | None:
    """What tells whether words stand in a text; None where none are looked for."""
    if not question.words:
        return None
    if question.is_regex:
        return re.compile(question.words).search
    words = question.words.casefold()
    return lambda text: words in text.casefold()


def _add(prompts: dict[str, Prompt], row: Row, matches: Callable[[str], object] | None) -> None:
    key, begins = place_of(row)
    prompt = prompts.get(key)
    if prompt is None:
        text = text_of(row["input"])
        prompt = prompts[key] = Prompt(key, text[:BEGINNING])
        prompt.is_found = bool(matches and matches(text))
    output = text_of(row.get("output"))
    prompt.rows += 1
    prompt.answers += begins
    prompt.characters += len(output)
    if matches and matches(output):
        prompt.found += 1
    score = score_of(row)
    if score is not None:
        prompt.scores.append(score)


def note_missing(prompts: Sequence[Prompt]) -> None:
    """Answers that failed are not in the file: a prompt that lost some has fewer than others."""
    most = max((one.answers for one in prompts), default=0)
    for one in prompts:
        one.missing = most - one.answers


def _is_wanted(prompt: Prompt, question: Question) -> bool:
    if question.words and not (prompt.found or prompt.is_found):
        return False
    if question.only == "flat" and not prompt.is_flat:
        return False
    if question.only == "missing" and not prompt.missing:
        return False
    return _is_between(prompt.mean, question.low, question.high)


def _is_between(mean: float | None, low: float | None, high: float | None) -> bool:
    if low is None and high is None:
        return True
    return mean is not None and (low is None or mean >= low) and (high is None or mean <= high)


def sorted_by(prompts: list[Prompt], sort: str) -> list[Prompt]:
    """In the order that was asked for; those that have no such figure come last."""
    name = sort.lstrip("-")
    if name not in SORTS:
        return prompts
    figures = [(getattr(one, name), one) for one in prompts]
    known = [(figure, one) for figure, one in figures if figure is not None]
    known.sort(key=lambda pair: pair[0], reverse=sort.startswith("-"))
    return [*(one for _, one in known), *(one for figure, one in figures if figure is None)]
