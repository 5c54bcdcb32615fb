"""The metrics of a run for its page: groups of charts, and points as the page takes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jobs.models import Job
from monitoring.models import Series
from monitoring.readers.verl_metrics import write_value
from monitoring.series.column import Column
from monitoring.store import points
from monitoring.store.points import News, Window

KEY_GROUP = "Key metrics"
WIDE = 500  # series; of more than that a page shows the names only where somebody opens a group
Pair = tuple[int, float | str]


@dataclass(frozen=True)
class Group:
    """Charts with the same prefix. ``total`` counts also those whose cards are not made yet."""

    name: str
    series: list[dict[str, Any]]
    total: int


def key_metrics(job: Job) -> Sequence[str]:
    """The few metrics that matter most, as the job's kind says."""
    return job.job_kind.key_metrics(job.spec_of_kind)


def series_groups(job: Job) -> list[Group]:
    """All series by the prefix before ``/``, the key metrics first as a group."""
    names, keys = points.all_names(job), key_metrics(job)
    is_wide = len(names) > WIDE
    shown = keys if is_wide else None
    rows = {series.name: _shown(series) for series in _rows(job, shown)}
    key = [rows[name] for name in keys if name in rows]
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.partition("/")[0], []).append(name)
    return [
        *([Group(KEY_GROUP, key, len(key))] if key else []),
        *(
            Group(prefix, [] if is_wide else [rows[name] for name in members], len(members))
            for prefix, members in groups.items()
        ),
    ]


def _rows(job: Job, names: Sequence[str] | None) -> Any:
    rows = Series.objects.filter(job=job)
    return rows if names is None else rows.filter(name__in=names)


def _shown(series: Series) -> dict[str, Any]:
    _, _, rest = series.name.partition("/")
    return {
        "name": series.name,
        "label": rest or series.name,
        "last_value": series.last_value,
        "last_step": series.last_step,
    }


def pairs(column: Column) -> list[Pair]:
    """``[[step, value], …]``; a value that JSON has no number for is a word."""
    values = column.values.tolist()
    if not np.isfinite(column.values).all():
        values = [write_value(value) for value in values]
    return list(zip(column.steps.tolist(), values, strict=True))


def windows_shown(found: Mapping[str, Window]) -> dict[str, Any]:
    """Points by name, and for each series that was thinned how many points and bad ones it has."""
    return {
        "series": {name: pairs(window.column) for name, window in found.items()},
        "thinned": {
            name: {"count": window.count, "bad": window.bad}
            for name, window in found.items()
            if window.is_thinned
        },
    }


def news_shown(news: News) -> dict[str, Any]:
    """The message that a page is sent. ``anew``: what it shows is not what there is now."""
    return {
        "type": "points",
        "number": news.number,
        "anew": news.anew,
        "series": {name: pairs(column) for name, column in news.points.items()},
    }
