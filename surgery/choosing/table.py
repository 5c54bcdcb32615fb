"""The checkpoints of jobs, with what their metrics were at their steps. No machine is asked."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from django.contrib.auth.models import User

from jobs import measured
from jobs.artifacts.story import Saved, known_of
from jobs.models import Artifact, Job
from surgery.choice.candidate import Candidate
from surgery.choice.flags import RL_TRAINING, TRAINING, Flag, flags_of
from surgery.choice.metrics import evaluated, kl_of, reward_of, validation_of
from surgery.choosing.made import Made, made_of
from surgery.choosing.scored import Scores, scores_of

MOST_NAMES = 2000  # of metrics, over all the jobs
MOST_COLUMNS = 4


@dataclass(frozen=True)
class Row:
    """One checkpoint. ``values`` are by the table's columns; None is not known at its step."""

    job: Job
    saved: Saved
    candidate: Candidate
    values: Mapping[str, float | None]
    flags: Sequence[Flag] = ()

    @property
    def artifact(self) -> Artifact:
        return self.saved.artifact

    @property
    def folder(self) -> str:
        return self.saved.folder

    @property
    def name(self) -> str:
        return self.candidate.name

    @property
    def step(self) -> int:
        return self.saved.step

    @property
    def states(self) -> list[str]:
        """What it is good for."""
        if not self.artifact.is_whole:
            return ["not whole"]
        return ["resumable", "Hugging Face"] if self.artifact.has_model else ["resumable"]


Line: TypeAlias = Row | Made


@dataclass(frozen=True)
class Table:
    """``columns`` are the metrics that are shown, ``names`` all that the jobs have. Only ``rows``
    are chosen among; ``made`` are models that were made from them."""

    rows: Sequence[Row]
    columns: Sequence[str]
    names: Sequence[str]
    made: Sequence[Made] = ()

    @property
    def lines(self) -> list[Line]:
        return [*self.rows, *self.made]

    @property
    def candidates(self) -> list[Candidate]:
        """Those that can be chosen: what is not whole cannot be used."""
        return [row.candidate for row in self.rows if row.saved.artifact.is_whole]

    def row_of(self, candidate: Candidate) -> Row:
        return next(row for row in self.rows if row.candidate.key == candidate.key)


def table_of(jobs: Sequence[Job], asked: Collection[str] = (), user: User | None = None) -> Table:
    """The checkpoints of these jobs, newest first; ``asked`` are metrics to choose by. What was
    made from them is added as far as the user may see it."""
    saved = {job.pk: known_of(job) for job in jobs}
    made = made_of(jobs, user)
    every = [each.artifact.pk for found in saved.values() for each in found]
    scores = scores_of([*every, *(each.artifact.pk for each in made)])
    names = measured.names_of(list(saved), MOST_NAMES)
    names = sorted({*names, *(name for each in scores.values() for name in each)})
    columns = _columns(jobs, names, asked)
    wanted = {*columns, *asked, *_judged(names)}
    steps = {pk: {each.step for each in found} for pk, found in saved.items()}
    values = measured.at_steps(steps, wanted)
    rows = list[Row]()
    for job in jobs:
        known = _known(saved[job.pk], values.get(job.pk, {}), scores)
        rows += _rows(job, saved[job.pk], known, columns, len(jobs) > 1)
    return Table(rows, columns, names, [_scored(each, columns, scores) for each in made])


def _known(
    saved: Sequence[Saved], values: Mapping[int, Mapping[str, float]], scores: Scores
) -> dict[int, Mapping[str, float]]:
    """What is known of each step: its metrics, and what evaluations found of its checkpoint."""
    return {
        each.step: {**values.get(each.step, {}), **scores.get(each.artifact.pk, {})}
        for each in reversed(saved)
    }


def _scored(made: Made, columns: Sequence[str], scores: Scores) -> Made:
    """A model with what evaluations found of it."""
    found = scores.get(made.artifact.pk, {})
    return replace(made, values={name: found.get(name) for name in columns})


def _columns(jobs: Sequence[Job], names: Sequence[str], asked: Collection[str]) -> list[str]:
    """What was asked for, then what judges a run and its models, then what stands first on its
    page."""
    first = [name for name in (validation_of(names), reward_of(names), kl_of(names)) if name]
    first += evaluated(names)
    first += [name for job in jobs for name in job.job_kind.key_metrics(job.spec_of_kind)]
    known = [name for name in dict.fromkeys([*asked, *first]) if name in set(names)]
    return known[: max(MOST_COLUMNS, len(asked))]


def _judged(names: Sequence[str]) -> set[str]:
    """The metrics that flags and criteria look at."""
    training = {name for _, few in TRAINING for name in few} | {*RL_TRAINING}
    found = {validation_of(names), reward_of(names), kl_of(names)}
    return training | {name for name in found if name}


def _rows(
    job: Job,
    saved: Sequence[Saved],
    values: Mapping[int, Mapping[str, float]],
    columns: Sequence[str],
    is_one_of_many: bool,
) -> list[Row]:
    of = f" of job {job.pk}" if is_one_of_many else ""
    found = [
        (each, Candidate(each.place, f"{each.artifact}{of}", each.step, values.get(each.step, {})))
        for each in saved
    ]
    flags = flags_of([candidate for _, candidate in found])
    return [
        Row(
            job, each, candidate, {name: candidate.known(name) for name in columns},
            flags.get(candidate.key, ()),
        )
        for each, candidate in found
    ]  # fmt: skip


FILTERS: Mapping[str, tuple[str, Callable[[Line], bool]]] = {
    "whole": ("Whole", lambda line: line.artifact.is_whole),
    "broken": ("Not whole", lambda line: not line.artifact.is_whole),
    "saved": ("Saved by the run", lambda line: isinstance(line, Row)),
    "made": ("Made from them", lambda line: isinstance(line, Made)),
    "flagged": ("Flagged", lambda line: bool(line.flags)),
    "clear": ("Not flagged", lambda line: not line.flags),
    "pinned": ("Pinned", lambda line: line.artifact.is_pinned),
}


def in_order(lines: Sequence[Line], columns: Sequence[str], sort: str) -> list[Line]:
    """By ``step``, ``size``, ``job`` or a metric, after ``-`` from above; the unknown come last."""
    name, down = sort.removeprefix("-"), sort.startswith("-")

    def value(line: Line) -> float | None:
        if name in columns:
            return line.values[name]
        return {"size": line.artifact.size, "job": line.job.pk}.get(name, line.step)

    known = [(found, line) for line in lines if (found := value(line)) is not None]
    ordered = [line for _, line in sorted(known, key=lambda pair: pair[0], reverse=down)]
    return ordered + [line for line in lines if value(line) is None]
