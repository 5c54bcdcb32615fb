"""The page of a step: its prompts, or its answers one by one, found, sorted and cut to a page."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monitoring.answers.advantage import Method
from monitoring.answers.checking import advantage_of
from monitoring.answers.figures import Figures, changes
from monitoring.answers.question import (
    ANSWERS,
    PART,
    About,
    Chosen,
    Question,
    chosen,
    decides,
    is_correct,
    is_cut,
    is_empty,
    ordered,
)
from monitoring.answers.repetition import repetition, repetitions
from monitoring.answers.rows import LeftOut, shown
from monitoring.answers.secrets import input_of, output_of
from monitoring.answers.step import Floats, Ints, Step, key_text

SIZE = 25  # rows of a page
BEGINNING = 200  # characters of a text in the list


@dataclass(frozen=True)
class Prompt:
    """One prompt and what its answers have in common."""

    key: str
    text: str
    rows: int
    missing: int  # answers that the other prompts of the step have and this one lacks
    found: int  # answers in which the words stand
    mean: float | None
    deviation: float | None
    is_flat: bool
    length: float
    unscored: int
    change: float | None = None  # of the mean since the step before


@dataclass(frozen=True)
class Answer:
    """One answer in the list of a step."""

    key: str  # of its prompt
    prompt: str
    text: str
    score: float | None
    advantage: float | None
    length: int
    is_cut: bool
    repetition: float | None
    parts: Sequence[tuple[str, float | None]]


@dataclass(frozen=True)
class Counts:
    """Of a whole step."""

    prompts: int
    rows: int
    padding: int
    flat: int
    correct: int
    cut: int | None
    empty: int
    mean: float | None
    unit: str
    decides: str
    parts: Sequence[str]
    left_out: LeftOut


@dataclass(frozen=True)
class Page:
    """What is shown of a step: prompts or answers, of how many that match."""

    of: str
    matching: int
    counts: Counts
    prompts: Sequence[Prompt] = ()
    answers: Sequence[Answer] = ()
    why_no_advantage: str = ""
    is_compared: bool = False  # with the step before


def page_of(
    step: Step,
    asked: Question,
    about: About | None = None,
    method: Method | None = None,
    before: Step | None = None,
) -> Page:
    """The page that was asked for, or the last one. Raises ``OSError``."""
    about, figures = about or About(), Figures(step)
    change = changes(figures, Figures(before)) if before else np.full(step.prompts, np.nan)
    found = chosen(step, figures, change, asked, about)
    counts = counts_of(step, figures, about)
    if asked.of == ANSWERS:
        return _answers_page(step, asked, about, method or Method(), found, counts)
    places = _sorted_prompts(figures, change, found.prompts, asked.sort)
    shown_places = on_page(places, asked.page)
    texts = [input_of(row, about.secrets) for row in step.rows(step.first[shown_places])]
    rows = zip(shown_places.tolist(), texts, strict=True)
    prompts = [prompt_at(figures, at, text, found.found, change) for at, text in rows]
    return Page(asked.of, len(places), counts, prompts=prompts, is_compared=before is not None)


def counts_of(step: Step, figures: Figures, about: About) -> Counts:
    cut = is_cut(step, about.limit)
    return Counts(
        prompts=step.prompts,
        rows=len(step),
        padding=step.padding,
        flat=int(figures.is_flat.sum()),
        correct=int(is_correct(step).sum()),
        cut=None if cut is None else int(cut.sum()),
        empty=int(is_empty(step).sum()),
        mean=figures.of_all,
        unit=step.unit,
        decides=decides(step),
        parts=[shown(name) for name in step.parts],
        left_out=step.left_out,
    )


def sorted_rows(
    step: Step, rows: Ints, sort: str, about: About | None = None, method: Method | None = None
) -> Ints:
    """The rows of answers in the order that was asked for. By repetition it reads their texts."""
    name = sort.lstrip("-")
    if not name:
        return rows
    return ordered(rows, _figures(step, rows, name, method or Method()), sort.startswith("-"))


def _figures(step: Step, rows: Ints, name: str, method: Method) -> Floats:
    nothing = np.full(len(step), np.nan)
    if name.startswith(PART):
        return step.parts.get(name.removeprefix(PART), nothing)
    if name == "advantage":
        return advantage_of(step, method)[0]
    if name == "repetition":
        nothing[rows] = repetitions(step, rows)
        return nothing
    return step.length.astype(np.float64) if name == "length" else step.score


def _sorted_prompts(figures: Figures, change: Floats, places: Ints, sort: str) -> Ints:
    name = sort.lstrip("-")
    if not name:
        return places
    values = change if name == "change" else getattr(figures, name)
    return ordered(places, values, sort.startswith("-"))


def on_page(places: Ints, page: int) -> Ints:
    """Those of a page, or of the last one."""
    last = max(1, math.ceil(len(places) / SIZE))
    start = (max(1, min(page, last)) - 1) * SIZE
    return places[start : start + SIZE]


def prompt_at(figures: Figures, at: int, text: str, found: Ints, change: Floats) -> Prompt:
    return Prompt(
        key=key_text(figures.step.keys[at]),
        text=shown(text[:BEGINNING]),
        rows=int(figures.rows[at]),
        missing=int(figures.missing[at]),
        found=int(found[at]),
        mean=known(figures.mean[at]),
        deviation=known(figures.deviation[at]),
        is_flat=bool(figures.is_flat[at]),
        length=float(figures.length[at]),
        unscored=int(figures.rows[at] - figures.scored[at]),
        change=known(change[at]),
    )


def _answers_page(
    step: Step, asked: Question, about: About, method: Method, found: Chosen, counts: Counts
) -> Page:
    rows = sorted_rows(step, found.rows, asked.sort, about, method)
    shown_rows = on_page(rows, asked.page)
    advantage, why = advantage_of(step, method)
    cut = is_cut(step, about.limit)
    answers = []
    for at, row in zip(shown_rows.tolist(), step.rows(shown_rows), strict=True):
        output = output_of(row, about.secrets)
        answers.append(
            Answer(
                key=key_text(step.keys[step.prompt[at]]),
                prompt=shown(input_of(row, about.secrets)[:BEGINNING]),
                text=shown(output[:BEGINNING]),
                score=known(step.score[at]),
                advantage=known(advantage[at]),
                length=int(step.length[at]),
                is_cut=cut is not None and bool(cut[at]),
                repetition=known(repetition(output)),
                parts=[(shown(name), known(each[at])) for name, each in step.parts.items()],
            )
        )
    return Page(asked.of, len(rows), counts, answers=answers, why_no_advantage=why)


def known(value: float) -> float | None:
    """NaN is what is not known."""
    return None if np.isnan(value) else float(value)
