"""The leaderboard: what was evaluated by one evaluator on one set of prompts, best first, and which
of them cannot be told apart from the best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Count, Max

from evaluations.board.shown import Figure, figures
from evaluations.models import Evaluation, sides_of
from evaluations.statistics.figures import OF_LOSS, PERPLEXITY
from evaluations.statistics.paired import difference_in
from evaluations.statistics.scores import NotScores, Scores
from jobs.verl.better import is_higher_better

MOST_GROUPS = 200
MOST_COLUMNS = 6
MOST_ROWS = 500
# From the best one down, so many are tried, until so many could be told apart.
MOST_TRIED, APART = 30, 5
MOST_FOUND = 5000  # comparisons that are remembered
BEST, LEVEL = "best", "level"


@dataclass(frozen=True)
class Group:
    """Evaluations that may stand in one column."""

    way: str
    set_name: str
    set_digest: str
    evaluator_digest: str
    count: int

    @property
    def key(self) -> str:
        """What an address calls it."""
        return f"{self.set_digest[:16]}-{self.evaluator_digest[:16]}"

    @property
    def label(self) -> str:
        prompts = f"prompts {self.set_digest[:6]}"
        name = f"{self.set_name} ({prompts})" if self.set_name else prompts
        return f"{name}, {self.way}, evaluator {self.evaluator_digest[:6]}"


@dataclass(frozen=True)
class Row:
    """One model; ``standing`` is ``best``, ``level`` with the best, or empty. ``prompts`` are those
    that count in its figures; ``has_fewer`` than another one of the table."""

    evaluation: Evaluation
    figures: Mapping[str, Figure]
    standing: str = ""
    prompts: int = 0
    has_fewer: bool = False


def groups_of(user: User) -> list[Group]:
    """The newest first. Those whose evaluator or prompts nobody knows are in none."""
    mine = Evaluation.objects.visible_to(user).readable()
    known = mine.exclude(set_digest="").exclude(evaluator_digest="").order_by()
    fields = ("way", "set_digest", "evaluator_digest")
    found = known.values(*fields).annotate(
        count=Count("pk"), newest=Max("kept_at"), name=Max("set_name")
    )
    return [
        Group(each["way"], each["name"], each["set_digest"], each["evaluator_digest"],
              each["count"])
        for each in found.order_by("-newest")[:MOST_GROUPS]
    ]  # fmt: skip


def rows_of(group: Group, user: User) -> list[Evaluation]:
    """The newest evaluation of each model in a group."""
    mine = Evaluation.objects.visible_to(user).readable().listed()
    found = mine.filter(set_digest=group.set_digest, evaluator_digest=group.evaluator_digest)
    newest = dict[tuple[Any, ...], Evaluation]()
    for each in found.order_by("-kept_at", "-pk")[:MOST_ROWS]:
        model = (each.artifact_id,) if each.artifact_id else (each.model, each.job.machine_id)
        on = (each.model, each.adapter) if each.adapter else ()
        newest.setdefault((*model, *on), each)
    return list(newest.values())


def counted(evaluation: Evaluation) -> int:
    """The prompts that count in its figures: those that are too long for a model are in none."""
    too_long = int(evaluation.counts.get("too_long", 0))
    return max(0, evaluation.prompts - too_long)


def columns_of(evaluations: Sequence[Evaluation]) -> list[str]:
    """The names of the figures that are shown."""
    names = [figure.name for each in evaluations for figure in figures(each)]
    return list(dict.fromkeys(names))[:MOST_COLUMNS]


def side_of(figure: str, evaluations: Sequence[Evaluation]) -> bool | None:
    """Whether more of a figure is better, as an evaluator said, or else its name."""
    return sides_of(*evaluations).get(figure, is_higher_better(figure))


def by_default(columns: Sequence[str], evaluations: Sequence[Evaluation]) -> str:
    """The sort that has the best first, by the figure that stands first."""
    if not columns:
        return ""
    return columns[0] if side_of(columns[0], evaluations) is False else f"-{columns[0]}"


def in_order(evaluations: Sequence[Evaluation], sort: str) -> list[Evaluation]:
    """By a figure, after ``-`` from above, or by ``name``; those without it last."""
    name, down = sort.removeprefix("-"), sort.startswith("-")
    if name == "name":
        return sorted(evaluations, key=lambda each: each.subject.casefold(), reverse=down)
    known = [each for each in evaluations if name in each.metrics]
    ordered = sorted(known, key=lambda each: each.metrics[name], reverse=down)
    return ordered + [each for each in evaluations if name not in each.metrics]


def standings(evaluations: Sequence[Evaluation], figure: str) -> dict[int, str]:
    """Which of them is best by a figure, by the paired difference from each that follows; or which
    are level with the best, by their keys. Nothing where nobody knows which side is better."""
    is_higher = side_of(figure, evaluations)
    known = [each for each in evaluations if figure in each.metrics]
    if is_higher is None or len(known) < 2:
        return {}
    ordered = sorted(known, key=lambda each: each.metrics[figure], reverse=is_higher)
    first, level, apart = ordered[0], list[int](), 0
    held = Held(figure, is_higher, ordered[: MOST_TRIED + 1])
    for each in held.tried[1:]:
        worse = held.is_worse(each)
        if worse is None:
            return {}  # nobody can say
        apart += worse
        if not worse:
            level.append(each.pk)
        if apart >= APART:
            break
    return dict.fromkeys([first.pk, *level], LEVEL) if level else {first.pk: BEST}


@dataclass
class Held:
    """Those that are tried, of which the others are compared with the first by a figure. What was
    found of two evaluations is remembered, so that the bytes of their scores are read once."""

    figure: str
    is_higher: bool
    tried: Sequence[Evaluation]

    def is_worse(self, other: Evaluation) -> bool | None:
        """Whether the other is worse so surely that it shows; None where that is not known."""
        both = ((each.pk, each.kept_at) for each in (self.tried[0], other))
        key = (self.figure, self.is_higher, *both)
        if key not in _found:
            while len(_found) >= MOST_FOUND:
                _found.pop(next(iter(_found)))
            _found[key] = self._compared(other)
        return _found[key]

    def _compared(self, other: Evaluation) -> bool | None:
        best, first, second = self.tried[0], self._first, self._rows_of(other)
        if first is None or second is None:
            return None
        name = OF_LOSS if self.figure == PERPLEXITY else self.figure  # it rises with the loss
        found = difference_in(name, first, second, best.way, {name: self.is_higher})
        return found.verdict == "worse" if found else None

    @cached_property
    def _first(self) -> Scores | None:
        return self._rows_of(self.tried[0])

    @cached_property
    def _kept(self) -> dict[int, Evaluation]:
        """All at once, with their scores: so many bytes are read faster than they are asked for."""
        rows = Evaluation.objects.only("scores")
        return rows.in_bulk([each.pk for each in self.tried])

    def _rows_of(self, evaluation: Evaluation) -> Scores | None:
        try:
            kept = self._kept.get(evaluation.pk)
            return kept.rows if kept else None
        except NotScores:
            return None


_found: dict[tuple[Any, ...], bool | None] = {}
