"""The metrics of a run for its page: groups of charts, and points as the page takes them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jobs.models import Job
from jobs.verl.better import is_best_higher
from jobs.verl.key_metrics import TWINS, VALIDATION, in_its_group, label_of, scores_among
from monitoring.models import Series
from monitoring.readers.verl_metrics import write_value
from monitoring.series.column import Column
from monitoring.store import points
from monitoring.store.points import News, Window

KEY_GROUP = "Key metrics"
WIDE = 500  # series; of more than that a page shows the names only where somebody opens a group
DIGITS = 5  # of a mean, which is drawn and not read
Pair = tuple[int, float | str]
Pins = Mapping[str, bool]  # metrics that a user put first, or took from there


@dataclass(frozen=True)
class Group:
    """Charts with the same prefix. ``total`` counts also those whose cards are not made yet."""

    name: str
    series: list[dict[str, Any]]
    total: int


def key_metrics(job: Job, pins: Pins | None = None) -> list[str]:
    """The few metrics that matter most, as the job's kind says, and then as a user does."""
    pins = pins or {}
    said = [name for name in job.job_kind.key_metrics(job.spec_of_kind) if pins.get(name, True)]
    return [*said, *(name for name, is_first in pins.items() if is_first and name not in said)]


def series_groups(job: Job, pins: Pins | None = None) -> list[Group]:
    """All series by the prefix before ``/``, the key metrics first as a group."""
    names = points.all_names(job)
    keys = _first(names, key_metrics(job, pins), pins or {})
    is_wide = len(names) > WIDE
    found = {series.name: series for series in _rows(job, keys if is_wide else None)}
    rows = {name: _shown(series) for name, series in found.items()}
    key = [
        rows[name] | {"label": label_of(name), "is_key": True}
        for name in _without_twins({name: found[name] for name in keys}, pins or {})
    ]
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


def _first(names: Sequence[str], keys: Iterable[str], pins: Pins) -> list[str]:
    """Those of the key metrics that the run has; its scores of validation by their own names."""
    known, found = set(names), list[str]()
    for key in keys:
        if key == VALIDATION:
            found += [name for name in scores_among(names) if pins.get(name, True)]
        elif key in known:
            found.append(key)
    return list(dict.fromkeys(found))


def _without_twins(keys: Mapping[str, Series], pins: Pins) -> list[str]:
    """Without a metric that is the same as its twin, unless a user put it there."""
    return [
        name
        for name, series in keys.items()
        if pins.get(name) or (twin := keys.get(TWINS.get(name, ""))) is None
        or series.summary != twin.summary
    ]  # fmt: skip


def _rows(job: Job, names: Sequence[str] | None) -> Any:
    rows = Series.objects.filter(job=job)
    return rows if names is None else rows.filter(name__in=names)


def _shown(series: Series) -> dict[str, Any]:
    return {
        "name": series.name,
        "label": in_its_group(series.name),
        "last_value": series.last_value,
        "last_step": series.last_step,
        "better": better_side(series.name),
        "best": best_of(series),
    }


def better_side(name: str) -> str:
    """``higher``, ``lower``, or "" where nobody knows which value is better."""
    higher = is_best_higher(name)
    return "" if higher is None else "higher" if higher else "lower"


def best_of(series: Series) -> float | None:
    """None where nobody knows which value is better, or none is finite."""
    side = better_side(series.name)
    return {"higher": series.high, "lower": series.low}.get(side)


def pairs(column: Column) -> list[Pair]:
    """``[[step, value], …]``; a value that JSON has no number for is a word."""
    values = column.values.tolist()
    if not np.isfinite(column.values).all():
        values = [write_value(value) for value in values]
    return list(zip(column.steps.tolist(), values, strict=True))


def windows_shown(found: Mapping[str, Window]) -> dict[str, Any]:
    """Points by name, and for each series that was thinned how many points and bad ones it has, and
    the means of the parts that its points were chosen from."""
    return {
        "series": {name: pairs(window.column) for name, window in found.items()},
        "better": {name: better_side(name) for name in found},
        "thinned": {
            name: {"count": window.count, "bad": window.bad, "middles": rounded(window)}
            for name, window in found.items()
            if window.is_thinned
        },
    }


def rounded(window: Window) -> list[float | None]:
    """None is a part without a finite value; JSON has no number for it."""
    return [
        float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None
        for value in window.middles.tolist()
    ]


def news_shown(news: News) -> dict[str, Any]:
    """The message that a page is sent. ``anew``: what it shows is not what there is now."""
    times = {"times": pairs(news.times)} if len(news.times) else {}
    return {
        "type": "points",
        "number": news.number,
        "anew": news.anew,
        "series": {name: pairs(column) for name, column in news.points.items()},
        **times,
    }
