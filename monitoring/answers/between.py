"""The answers of several runs to the same prompts.

A prompt is known again by its text: the uid that verl gives it differs from run to run. Prompts of
the same text in one step are one prompt here. The first run is what the others are compared with.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from monitoring.answers.asked import Run
from monitoring.answers.figures import Figures
from monitoring.answers.kept import step_of
from monitoring.answers.over_steps import Place
from monitoring.answers.prompts import BEGINNING, known, on_page
from monitoring.answers.question import Question, matcher, ordered
from monitoring.answers.rows import LeftOut, rows_at, shown
from monitoring.answers.secrets import input_of
from monitoring.answers.side_by_side import MOST, ROOM, Answer, Text, some_answers
from monitoring.answers.step import Bools, Floats, Ints, Step, key_text

MOST_RUNS = 8  # side by side
BETTER, WORSE, SAME, UNKNOWN = "better", "worse", "same", "unknown"
VERDICTS = (BETTER, WORSE, SAME, UNKNOWN)
SORTS = ("change", "mean", "length")  # the latter two with the number of a run: mean:1
Digests: TypeAlias = npt.NDArray[np.uint64]
ROUNDING = 1e-9  # equal scores that were added up in another order differ by so much


@dataclass(frozen=True)
class Side:
    """A step of a run."""

    at: Place
    run: Run


@dataclass(frozen=True)
class Figure:
    """The answers of one run to a prompt; ``change`` is from the first run's mean score."""

    answers: int
    mean: float | None
    length: float | None
    change: float | None = None


@dataclass(frozen=True)
class Row:
    key: str
    text: str
    figures: Sequence[Figure]  # of each run
    change: float | None  # of the run that is looked at


@dataclass(frozen=True)
class Counts:
    """Of one run: ``alone`` are prompts that no other run has, ``partly`` those that some of the
    others lack; ``mean`` is over the prompts that all have."""

    answers: int
    prompts: int
    alone: int
    partly: int
    mean: float | None
    unit: str
    padding: int
    left_out: LeftOut


@dataclass(frozen=True)
class Page:
    """What is shown of ``shared`` prompts, which all runs have; ``verdicts`` counts these."""

    shared: int
    matching: int
    rows: Sequence[Row]
    runs: Sequence[Counts]
    verdicts: dict[str, int]


@dataclass(frozen=True)
class Group:
    """The answers of one run to a prompt, and how many there are besides."""

    figure: Figure
    answers: Sequence[Answer]
    unit: str
    why_no_advantage: str

    @property
    def more(self) -> int:
        return self.figure.answers - len(self.answers)


@dataclass(frozen=True)
class Groups:
    key: str
    text: Text
    runs: Sequence[Group]


@dataclass(frozen=True)
class _Told:
    """What is kept of a step while the others are read: figures of each text, by its digest."""

    path: Path
    texts: Digests
    offset: Ints  # of the first row with the text
    size: Ints
    answers: Ints
    mean: Floats
    length: Floats
    unit: str
    rows: int
    padding: int
    left_out: LeftOut

    def at(self, texts: Digests) -> Ints:
        """Where these are, which all must be there."""
        return np.searchsorted(self.texts, texts)


def page(sides: Sequence[Side], asked: Question, other: int = 1) -> Page:
    """``other`` is the place of the run whose difference from the first is sorted and chosen by.

    Raises ``OSError``.
    """
    told = [_told(by_text(_step(side))) for side in sides]
    first = told[0]
    shared = reduce(np.intersect1d, [one.texts for one in told])
    shared = shared[np.argsort(first.offset[first.at(shared)], kind="stable")]
    places = [one.at(shared) for one in told]
    means = [one.mean[place] for one, place in zip(told, places, strict=True)]
    lengths = [one.length[place] for one, place in zip(told, places, strict=True)]
    changes = [_difference(mean, means[0]) for mean in means]
    change = changes[other]
    verdicts = _verdicts(change, means[0])
    chosen = np.flatnonzero(_chosen(verdicts, asked, first, places[0], sides[0]))
    rows = on_page(_sorted(chosen, asked.sort, change, means, lengths), asked.page)
    first_rows = rows_at(first.path, _spots(first, places[0][rows]))
    secrets = sides[0].run.about.secrets
    texts = [input_of(row or {"input": None}, secrets) for row in first_rows]
    answers = [one.answers[place] for one, place in zip(told, places, strict=True)]
    return Page(
        shared=len(shared),
        matching=len(chosen),
        rows=[
            Row(
                key_text(shared[at]),
                shown(text[:BEGINNING]),
                [
                    Figure(
                        int(answers[n][at]), known(means[n][at]), known(lengths[n][at]),
                        known(changes[n][at]) if n else None,
                    )
                    for n in range(len(sides))
                ],
                known(change[at]),
            )
            for at, text in zip(rows.tolist(), texts, strict=True)
        ],
        runs=[_counts(told, n, shared, means[n]) for n in range(len(told))],
        verdicts={name: int((verdicts[name]).sum()) for name in VERDICTS},
    )  # fmt: skip


def prompt(sides: Sequence[Side], key: str, room: int = ROOM) -> Groups | None:
    """The answers of each run to the prompt with a key of the list; None where no run has it.

    Raises ``OSError``.
    """
    mark, each = np.uint64(int(key, 16)), max(1, MOST // len(sides))
    text, found = None, list[Group]()
    for side in sides:
        step = _step(side)
        every = np.flatnonzero(step.texts[step.prompt] == mark)
        own = room // len(sides)
        whole, answers, why = some_answers(step, every[:each], side.run.about, side.run.method, own)
        text = text or whole
        found.append(Group(_figure(step, every, found), answers, step.unit, why))
    return None if text is None else Groups(key, text, found)


def _step(side: Side) -> Step:
    return step_of(side.at.path, side.at.kept)


def by_text(step: Step) -> Step:
    """The step with prompts of the same text as one."""
    texts, place = np.unique(step.texts, return_inverse=True)
    return replace(step, prompt=place[step.prompt], keys=texts, texts=texts)


def _told(step: Step) -> _Told:
    figures, first = Figures(step), step.first
    return _Told(
        path=step.path, texts=step.texts, offset=step.offset[first], size=step.size[first],
        answers=figures.rows, mean=figures.mean, length=figures.length, unit=step.unit,
        rows=len(step), padding=step.padding, left_out=step.left_out,
    )  # fmt: skip


def _difference(mean: Floats, base: Floats) -> Floats:
    """NaN where one is not known, or where it is beyond a float."""
    with np.errstate(over="ignore"):
        found = mean - base
    return np.where(np.isfinite(found), found, np.nan)


def _verdicts(change: Floats, base: Floats) -> dict[str, Bools]:
    unknown = np.isnan(change)
    same = np.abs(change) <= ROUNDING * np.maximum(1.0, np.abs(base))
    return {
        BETTER: (change > 0) & ~same,
        WORSE: (change < 0) & ~same,
        SAME: same,
        UNKNOWN: unknown,
    }


def _chosen(
    verdicts: dict[str, Bools], asked: Question, first: _Told, places: Ints, side: Side
) -> Bools:
    found = verdicts.get(asked.only, np.ones(len(places), np.bool_)).copy()
    if asked.words:
        at, matches = np.flatnonzero(found), matcher(asked)
        rows = rows_at(first.path, _spots(first, places[at]))
        for place, row in zip(at.tolist(), rows, strict=True):
            found[place] = row is not None and bool(matches(input_of(row, side.run.about.secrets)))
    return found


def _spots(one: _Told, places: Ints) -> list[tuple[int, int]]:
    return [*zip(one.offset[places].tolist(), one.size[places].tolist(), strict=True)]


def _sorted(
    chosen: Ints, sort: str, change: Floats, means: Sequence[Floats], lengths: Sequence[Floats]
) -> Ints:
    """Those that differ most come first, where nothing else is asked for."""
    if not sort:
        return ordered(chosen, np.abs(change), True)
    name, _, number = sort.lstrip("-").partition(":")
    if name == "change":
        return ordered(chosen, change, sort.startswith("-"))
    values = means if name == "mean" else lengths
    return ordered(chosen, values[min(int(number), len(values)) - 1], sort.startswith("-"))


def _counts(told: Sequence[_Told], n: int, shared: Digests, mean: Floats) -> Counts:
    one, others = told[n], [each.texts for at, each in enumerate(told) if at != n]
    alone = int((~np.isin(one.texts, np.concatenate(others))).sum())
    return Counts(
        answers=one.rows,
        prompts=len(one.texts),
        alone=alone,
        partly=len(one.texts) - len(shared) - alone,
        mean=_mean(mean),
        unit=one.unit,
        padding=one.padding,
        left_out=one.left_out,
    )


def _figure(step: Step, rows: Ints, before: Sequence[Group]) -> Figure:
    mean, base = _mean(step.score[rows]), before[0].figure.mean if before else None
    is_known = mean is not None and base is not None
    change = _difference(np.array(mean), np.array(base)) if is_known else np.array(np.nan)
    return Figure(
        answers=len(rows),
        mean=mean,
        length=float(step.length[rows].mean()) if len(rows) else None,
        change=known(float(change)),
    )


def _mean(values: Floats) -> float | None:
    has = values[~np.isnan(values)]
    with np.errstate(over="ignore"):
        mean = float(has.mean()) if len(has) else np.nan
    return mean if np.isfinite(mean) else None
