"""Several evaluations beside each other, prompt by prompt: the first is what the others are
compared with."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from evaluations.models import Evaluation, sides_of
from evaluations.statistics.figures import mean_known
from evaluations.statistics.paired import SAME, Paired, paired
from evaluations.statistics.resampling import Floats
from evaluations.statistics.scores import Ints, NotScores, Scores

MOST = 8
LONGEST_FACT = 200
ONLY = {"better": "better", "worse": "worse", "same": "the same", "unknown": "not known"}
SORTS = ("size", "gain", "first", "second", "place")


class NotComparable(Exception):
    """They cannot be compared. The message is a sentence for the user."""


@dataclass(frozen=True)
class Beside:
    """One evaluation beside the first. ``apart`` names the facts in which their evaluators differ,
    each with both values."""

    first: Evaluation
    second: Evaluation
    paired: Paired
    apart: Sequence[tuple[str, str, str]] = ()

    @property
    def is_of_one_evaluator(self) -> bool:
        known = bool(self.first.evaluator_digest)
        return known and self.first.evaluator_digest == self.second.evaluator_digest

    @property
    def left_out(self) -> str:
        """What is not compared, as a sentence; empty where all prompts are shared."""
        found = self.paired
        if not (found.only_first or found.only_second):
            return ""
        return (
            f"Only the {found.shared} prompts that both have are compared: {found.only_first} are "
            f"only in the first, {found.only_second} only in the second."
        )


@dataclass(frozen=True)
class Row:
    """One prompt. ``key`` is that of what the model was given, as pages of answers call it."""

    key: str
    text: str
    first: float | None
    second: float | None
    gain: float | None


@dataclass(frozen=True)
class Asked:
    only: str = ""
    words: str = ""
    sort: str = "-size"


@dataclass(frozen=True)
class Comparison:
    first: Evaluation
    others: Sequence[Beside] = field(default_factory=list)


def check_number(count: int) -> None:
    """Raises ``NotComparable`` for too few or too many evaluations."""
    if not 2 <= count <= MOST:
        raise NotComparable(f"Choose from 2 to {MOST} evaluations.")


def compare(evaluations: Sequence[Evaluation]) -> Comparison:
    """Raises ``NotComparable``."""
    check_number(len(evaluations))
    first, *others = evaluations
    ways = {each.way for each in evaluations}
    if len(ways) > 1:
        raise NotComparable(f"They evaluate in different ways: {', '.join(sorted(ways))}.")
    rows = _rows(first)
    return Comparison(first, [_beside(first, rows, other) for other in others])


def _beside(first: Evaluation, rows: Scores, other: Evaluation) -> Beside:
    found = paired(rows, _rows(other), first.way, sides_of(first, other))
    if not found.shared:
        raise NotComparable(
            f"Evaluations {first.job_id} and {other.job_id} have no prompt in common: there is "
            "nothing to compare."
        )
    return Beside(first, other, found, _apart(first, other))


def _rows(evaluation: Evaluation) -> Scores:
    if evaluation.fault:
        raise NotComparable(f"Evaluation {evaluation.job_id} found nothing: {evaluation.fault}")
    try:
        rows = evaluation.rows
    except NotScores as error:
        raise NotComparable(f"Evaluation {evaluation.job_id}: {error}") from error
    if rows is None:
        raise NotComparable(
            f"Of evaluation {evaluation.job_id} nobody knows what each prompt scored."
        )
    return rows


def _apart(first: Evaluation, second: Evaluation) -> list[tuple[str, str, str]]:
    names = dict.fromkeys([*first.evaluator, *second.evaluator])
    pairs = [(name, first.evaluator.get(name), second.evaluator.get(name)) for name in names]
    return [
        (name, _fact(one), _fact(two))
        for name, one, two in pairs
        if one != two and name != "digest"
    ]


def _fact(value: object) -> str:
    return "not told" if value is None else str(value)[:LONGEST_FACT]


def places_of(found: Paired, asked: Asked) -> Ints:
    """The shared prompts that are meant, in the order that is asked for."""
    gains = found.gains
    chosen = {
        "better": gains > SAME, "worse": gains < -SAME, "same": np.abs(gains) <= SAME,
        "unknown": np.isnan(gains),
    }.get(asked.only, np.ones(len(gains), np.bool_))  # fmt: skip
    places = np.flatnonzero(chosen)
    if asked.words:
        words, texts = asked.words.casefold(), found.first.texts
        there = [bool(texts) and words in texts[at].casefold() for at in places.tolist()]
        places = places[np.array(there, np.bool_)]
    return _ordered(found, places, asked.sort)


def _ordered(found: Paired, places: Ints, sort: str) -> Ints:
    name, down = sort.removeprefix("-"), sort.startswith("-")
    if name == "place":
        return places[::-1] if down else places
    values = {"size": np.abs(found.gains), "first": _each(found.first),
              "second": _each(found.second)}.get(name, found.gains)[places]  # fmt: skip
    keys = np.where(np.isnan(values), np.inf, -values if down else values)
    return places[np.argsort(keys, kind="stable")]


def rows_at(found: Paired, places: Ints) -> list[Row]:
    """The prompts at these places."""
    first, second, texts = _each(found.first), _each(found.second), found.first.texts
    return [
        Row(
            f"{int(found.first.keys[at]):016x}", texts[at] if texts else "", _known(first[at]),
            _known(second[at]), _known(found.gains[at]),
        )
        for at in places.tolist()
    ]  # fmt: skip


def _each(scores: Scores) -> Floats:
    """The mean score of each prompt; of a loss, that of a token."""
    weights = np.where(scores.weights > 0, scores.weights, np.nan)
    found: Floats = mean_known(scores.values) / weights
    return found


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
