"""A run's answers over its steps: how scores and lengths are spread, and how one prompt did.

The columns of a step are made when somebody looks at it first. For a view over all steps those that
are lacking are made now, as far as the time allows; the view says how many there are.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from monitoring.answers.heat import Map, counted, map_of
from monitoring.answers.kept import some_of, step_of
from monitoring.answers.question import PART
from monitoring.answers.rows import shown
from monitoring.answers.step import Bools, Floats, Ints, key_text

Columns: TypeAlias = dict[str, Any]
OF_PROMPTS = ("keys", "texts")
NAMES = ("score", "characters", "tokens", "prompt", *OF_PROMPTS)

MOST_STEPS = 2_000  # of one view: of more, steps at even distances
MOST_MAPS = 2  # of parts of the reward: a page has so much room
PATIENCE = 1.5  # seconds in which lacking columns are made


@dataclass(frozen=True)
class Place:
    """A step, its file, and where its columns are kept."""

    step: int
    path: Path
    kept: Path


@dataclass(frozen=True)
class Row:
    """Of one step."""

    step: int
    answers: int
    prompts: int
    flat: int
    mean: float | None
    low: float | None
    high: float | None
    length: float | None
    longest: float | None
    parts: Mapping[str, float | None]  # of the reward: their means
    key: str = ""  # of the prompt, where it is about one


@dataclass(frozen=True)
class Spread:
    """What is known of the steps, of how many; ``unit`` is that of lengths."""

    rows: Sequence[Row]
    maps: Sequence[Map]
    parts: Sequence[str]
    unit: str
    of: int
    steps: int  # of the run, of which ``of`` are looked at

    @property
    def is_whole(self) -> bool:
        return len(self.rows) == self.of

    @property
    def others(self) -> Sequence[str]:
        """The parts that have no map here."""
        return [name for name in self.parts if name not in {each.name for each in self.maps}]


def spread_of(places: Sequence[Place], part: str = "", patience: float = PATIENCE) -> Spread:
    """A step whose file cannot be read is left out. ``part`` is the one that shall have a map."""
    looked = thinned(places)
    steps = [*_columns(looked, patience)]
    has_tokens = bool(steps) and all((one["tokens"] >= 0).all() for _, one in steps)
    unit = "tokens" if has_tokens else "characters"
    parts = [*dict.fromkeys(name for _, one in steps for name in one if name.startswith(PART))]
    rows = [_row(place.step, one, unit) for place, one in steps]
    maps = []
    first = sorted(parts, key=lambda name: _named(name) != part)[:MOST_MAPS]
    for name in ("score", unit, *first):
        values = [(place.step, one[name]) for place, one in steps if name in one]
        if found := map_of(_named(name), values):
            maps.append(found)
    names = [_named(name) for name in parts]
    return Spread(rows, maps, names, unit, len(looked), len(places))


def prompt_over(places: Sequence[Place], mark: int, patience: float = PATIENCE) -> list[Row]:
    """The steps in which a prompt of this text is, with what it scored there."""
    found = []
    for place, one in _columns(thinned(places), patience):
        at = np.flatnonzero(one["texts"] == np.uint64(mark))
        if len(at):
            rows = one["prompt"] == at[0]
            only = {name: each[rows] for name, each in one.items() if name not in OF_PROMPTS}
            unit = "tokens" if (one["tokens"] >= 0).all() else "characters"
            found.append(_row(place.step, only, unit, key_text(one["keys"][at[0]])))
    return found


def thinned(places: Sequence[Place], most: int = MOST_STEPS) -> Sequence[Place]:
    """All of them or, of too many, some at even distances with the first and the last."""
    if len(places) <= most:
        return places
    return [places[round(n * (len(places) - 1) / (most - 1))] for n in range(most)]


def _columns(places: Sequence[Place], patience: float) -> Iterator[tuple[Place, Columns]]:
    """Of each step whose columns are kept, or could be made in time. One is always made."""
    until, is_late = time.monotonic() + patience, False
    for place in places:
        one = some_of(place.path, place.kept, NAMES)
        if one is None and not is_late:
            with suppress(OSError):
                step_of(place.path, place.kept)
            one = some_of(place.path, place.kept, NAMES)
            is_late = time.monotonic() > until
        if one is not None:
            yield place, one


def _row(step: int, one: Columns, unit: str, key: str = "") -> Row:
    score, length = counted(one["score"]), one[unit]
    return Row(
        step=step,
        answers=len(one["score"]),
        prompts=len(np.unique(one["prompt"])),
        flat=_flat(one),
        mean=_mean(score),
        low=float(score.min()) if len(score) else None,
        high=float(score.max()) if len(score) else None,
        length=_mean(length),
        longest=float(length.max()) if len(length) else None,
        parts={
            _named(name): _mean(counted(each))
            for name, each in one.items()
            if name.startswith(PART)
        },
        key=key,
    )


def _named(name: str) -> str:
    return shown(name.removeprefix(PART))


def _mean(values: Floats | Ints) -> float | None:
    with np.errstate(over="ignore"):
        mean = float(values.mean()) if len(values) else np.nan
    return mean if np.isfinite(mean) else None


def _flat(one: Columns) -> int:
    """Prompts whose several answers all score the same."""
    has: Bools = ~np.isnan(one["score"])
    order = np.lexsort((one["score"][has], one["prompt"][has]))
    score, prompt = one["score"][has][order], one["prompt"][has][order]
    if not len(prompt):
        return 0
    begins = np.flatnonzero(np.append(True, prompt[1:] != prompt[:-1]))
    ends = np.append(begins[1:], len(prompt)) - 1
    return int(np.count_nonzero((ends > begins) & (score[begins] == score[ends])))
