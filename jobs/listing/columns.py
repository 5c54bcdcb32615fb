"""The columns of the list: facts of a job, its knobs, and figures of its metrics.

A column is named as in an address: ``created``, ``lr``, or ``val/loss:best`` for a metric.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db.models import F, QuerySet

from jobs import measured
from jobs.listing.fields import Known, figure_of, known_fields
from jobs.listing.language.vocabulary import FIGURES, NUMBER, SPAN, TIME
from jobs.models import Job, ListColumns
from jobs.verl.better import is_best_higher

MOST = 12  # columns beside those that every list has
LONGEST = 250  # characters of a column's name
USUAL = ("created", "started", "duration")
WORDS = {"last": "last", "best": "best", "low": "least", "high": "greatest"}
# They stand in the columns that every list has, or say more than fits into one.
NOT_CHOSEN = ("name", "status", "kind", "algorithm", "tag", "note", "pinned", "sample", "reason")
FIXED = {"name": "name", "kind": "kind", "status": "status", "progress": "step"}


@dataclass(frozen=True)
class Column:
    """``metric`` and ``figure`` are of a metric; ``figure`` is last, low or high, empty where the
    best one is not known. Otherwise ``field`` says what is shown."""

    name: str
    label: str
    metric: str = ""
    figure: str = ""
    field: Known | None = None

    @property
    def is_figure(self) -> bool:
        return bool(self.metric) or self.sort in (NUMBER, SPAN)

    @property
    def sort(self) -> str:
        return self.field.sort if self.field else NUMBER

    @property
    def shows(self) -> str:
        """How its values are written."""
        if self.metric or (self.field and self.field.is_knob and self.sort == NUMBER):
            return "number"
        return {TIME: "time", SPAN: "elapsed"}.get(self.sort, "text")


def column_of(name: str) -> Column | None:
    """The column of a name; None where there is none, as for a name that no database can hold."""
    field = known_fields().get(name)
    if field and name not in NOT_CHOSEN:
        return Column(name, field.label or name.capitalize(), field=field)
    metric, _, figure = name.rpartition(":")
    if not metric or figure not in FIGURES or len(name) > LONGEST or "\0" in name:
        return None
    return Column(name, _label(metric, figure), metric, figure_of(metric, figure))


def _label(metric: str, figure: str) -> str:
    word = WORDS[figure]
    if figure == "best" and (higher := is_best_higher(metric)) is not None:
        word = f"best, {'greatest' if higher else 'least'}"
    return f"{metric} ({word})"


def columns_of(names: Iterable[str]) -> list[Column]:
    """The columns of these names, each once, the first ``MOST``; others are left out."""
    found = [column for name in dict.fromkeys(names) if (column := column_of(name))]
    return found[:MOST]


def names_offered(metrics: Iterable[str]) -> list[str]:
    """The columns that can be chosen; of these metrics the last value, and the best if known."""
    facts = [name for name in known_fields() if name not in NOT_CHOSEN]
    figures = {name: "best" if is_best_higher(name) is not None else "low" for name in metrics}
    return [*(f"{name}:{word}" for name, best in figures.items() for word in ("last", best)),
            *reversed(facts)]  # fmt: skip


def chosen_by(user: User) -> Sequence[str]:
    """What the user chose last."""
    kept = ListColumns.objects.filter(user=user).first()
    return USUAL if kept is None else kept.columns


def ordered(jobs: QuerySet[Job], sort: str) -> QuerySet[Job]:
    """By a column, after ``-`` from above; jobs without a value come last."""
    by, down = sort.removeprefix("-"), sort.startswith("-")
    column = column_of(by)
    if column and column.metric:
        figure = column.figure or measured.LAST
        return measured.ordered(jobs, column.metric, f"-{figure}" if down else figure)
    path = F(column.field.path if column and column.field else FIXED.get(by, "created_at"))
    return jobs.order_by(path.desc(nulls_last=True) if down else path.asc(nulls_last=True), "-pk")


def known_sort(asked: str) -> str:
    by = asked.removeprefix("-")
    return asked if by in FIXED or column_of(by) else "-created"


def cells_of(jobs: Sequence[Job], columns: Sequence[Column]) -> dict[int, list[dict[str, Any]]]:
    """What stands in the columns of each job, by its id."""
    metrics = {column.metric for column in columns if column.metric}
    figures = measured.figures_of_all([job.pk for job in jobs], metrics)
    return {job.pk: [_cell(job, column, figures) for column in columns] for job in jobs}


def _cell(
    job: Job, column: Column, figures: Mapping[str, Mapping[int, measured.Figure]]
) -> dict[str, Any]:
    if not column.metric:
        return {"column": column, "value": value_of(job, column)}
    found = figures.get(column.metric, {}).get(job.pk)
    value = getattr(found, column.figure) if found and column.figure else None
    is_nan = bool(found) and column.figure == measured.LAST and value is None
    return {"column": column, "value": float("nan") if is_nan else value}


def value_of(job: Job, column: Column) -> Any:
    field = column.field
    if field is None:
        return None
    if field.path.startswith("spec__"):
        found: Any = job.spec
        for part in field.path.split("__")[1:]:
            found = found.get(part) if isinstance(found, dict) else None
        return found
    return FACTS[field.name](job) if field.name in FACTS else getattr(job, field.path, None)


FACTS: Mapping[str, Callable[[Job], Any]] = {
    "duration": lambda job: job.elapsed,
    "machine": lambda job: job.machine.name,
    "owner": lambda job: job.owner.get_username(),
    "data": lambda job: job.dataset_version.label if job.dataset_version else None,
    "priority": lambda job: job.get_priority_display(),
    "verl": lambda job: job.verl,
}
