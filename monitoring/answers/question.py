"""What is asked of the answers of a step, and which of them it means."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from monitoring.answers.figures import Figures
from monitoring.answers.secrets import input_of, output_of
from monitoring.answers.step import Bools, Floats, Ints, Step

PROMPTS, ANSWERS = "prompts", "answers"
OF_PROMPTS = ("flat", "missing", "changed")
OF_ANSWERS = ("correct", "wrong", "cut", "empty", "unscored")
ONLY = (*OF_PROMPTS, *OF_ANSWERS)
SORTS = {
    PROMPTS: ("mean", "deviation", "length", "change"),
    ANSWERS: ("score", "advantage", "length", "repetition"),
}
PART = "part:"  # before the name of a part by which answers are sorted
CORRECT = ("acc", "accuracy", "correct", "is_correct")  # parts that say so, the first that is there
HALF = 0.5  # above it an answer is correct


@dataclass(frozen=True)
class Question:
    """``low`` and ``high`` are of a prompt's mean score, or of an answer's own, as ``of`` says;
    ``shortest`` and ``longest`` likewise, in the unit of the step."""

    of: str = PROMPTS
    words: str = ""
    is_regex: bool = False
    low: float | None = None
    high: float | None = None
    shortest: float | None = None
    longest: float | None = None
    part: str = ""
    part_low: float | None = None
    part_high: float | None = None
    only: str = ""  # of ONLY
    sort: str = ""  # with a minus for the greatest first; empty for the file's order
    page: int = 1


@dataclass(frozen=True)
class About:
    """What is known of the run: the most tokens of an answer, and what must not be shown."""

    limit: int | None = None
    secrets: Sequence[str] = ()


@dataclass(frozen=True)
class Chosen:
    """The places of the prompts and the rows that are meant, in the file's order, and in how many
    of a prompt's answers the words stand."""

    prompts: Ints
    rows: Ints
    found: Ints


def chosen(step: Step, figures: Figures, change: Floats, asked: Question, about: About) -> Chosen:
    """Raises ``OSError``, where texts are searched."""
    of_rows, of_prompts = _rows(step, asked, about), _prompts(figures, change, asked)
    of_rows &= of_prompts[step.prompt]
    found = np.zeros(step.prompts, np.int64)
    if asked.words:
        in_answers, in_prompts = _stands(step, of_rows, asked, about.secrets)
        found = np.bincount(step.prompt[in_answers], minlength=step.prompts)
        of_rows &= in_answers | in_prompts[step.prompt]
    rows = np.flatnonzero(of_rows)
    has_rows = np.zeros(step.prompts, np.bool_)
    has_rows[step.prompt[rows]] = True
    return Chosen(np.flatnonzero(has_rows), rows, found)


def is_correct(step: Step) -> Bools:
    """By the part of the reward that says so, or by the score where there is none."""
    found: Bools = _decisive(step) > HALF
    return found


def decides(step: Step) -> str:
    """The name of what says whether an answer is correct."""
    return next((name for name in CORRECT if name in step.parts), "score")


def _decisive(step: Step) -> Floats:
    """A row that lacks the part is judged by its score."""
    part = step.parts.get(decides(step), step.score)
    return np.where(np.isnan(part), step.score, part)


def is_cut(step: Step, limit: int | None) -> Bools | None:
    """Whether an answer is as long as one may be; None where that is not known."""
    return step.tokens >= limit if limit and step.has_tokens else None


def is_empty(step: Step) -> Bools:
    """Aborted: verl calls an answer of no tokens so."""
    found: Bools = step.length == 0
    return found


def _rows(step: Step, asked: Question, about: About) -> Bools:
    if asked.of == ANSWERS:
        found = between(step.score, asked.low, asked.high)
        found &= between(step.length.astype(np.float64), asked.shortest, asked.longest)
    else:
        found = np.ones(len(step), np.bool_)
    if asked.part:
        values = step.parts.get(asked.part, np.full(len(step), np.nan))
        found &= between(values, asked.part_low, asked.part_high) & ~np.isnan(values)
    if asked.only in OF_ANSWERS:
        found &= _only(step, asked.only, about.limit)
    return found


def _only(step: Step, only: str, limit: int | None) -> Bools:
    if only == "correct":
        return is_correct(step)
    if only == "wrong":
        return _decisive(step) <= HALF
    if only == "empty":
        return is_empty(step)
    if only == "unscored":
        return np.isnan(step.score)
    cut = is_cut(step, limit)
    return np.zeros(len(step), np.bool_) if cut is None else cut


def _prompts(figures: Figures, change: Floats, asked: Question) -> Bools:
    found = np.ones(figures.step.prompts, np.bool_)
    if asked.of == PROMPTS:
        found &= between(figures.mean, asked.low, asked.high)
        found &= between(figures.length, asked.shortest, asked.longest)
    if asked.only == "flat":
        found &= figures.is_flat
    elif asked.only == "missing":
        found &= figures.missing > 0
    elif asked.only == "changed":
        found &= ~np.isnan(change) & (change != 0)
    return found


def between(values: Floats, low: float | None, high: float | None) -> Bools:
    """Without a bound everything is between; with one, what has no value is not."""
    found = np.ones(len(values), np.bool_)
    if low is not None:
        found &= values >= low
    if high is not None:
        found &= values <= high
    return found


def matcher(asked: Question) -> Callable[[str], object]:
    """What tells whether the words stand in a text."""
    if asked.is_regex:
        return re.compile(asked.words).search
    words = asked.words.casefold()
    return lambda text: words in text.casefold()


def _stands(
    step: Step, of_rows: Bools, asked: Question, secrets: Sequence[str]
) -> tuple[Bools, Bools]:
    """In which of these rows' answers the words stand, and in which prompts."""
    matches, rows = matcher(asked), np.flatnonzero(of_rows)
    in_answers, in_prompts = np.zeros(len(step), np.bool_), np.zeros(step.prompts, np.bool_)
    seen: set[int] = set()
    prompts = step.prompt[rows].tolist()
    for at, number, row in zip(rows.tolist(), prompts, step.rows(rows), strict=True):
        if matches(output_of(row, secrets)):
            in_answers[at] = True
        if number not in seen:
            seen.add(number)
            in_prompts[number] = bool(matches(input_of(row, secrets)))
    return in_answers, in_prompts


def ordered(places: Ints, figures: Floats, is_descending: bool) -> Ints:
    """``places`` by their figures; those that have none come last, and equal ones stay in order."""
    values = figures[places]
    unknown = np.isnan(values)
    order = np.argsort(np.where(unknown, 0, -values if is_descending else values), kind="stable")
    known = places[order[~unknown[order]]]
    return np.concatenate([known, places[unknown]])
