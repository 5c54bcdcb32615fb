"""One metric of many runs as the lines of a chart, thinned, smoothed and grouped as it is asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jobs.listing.columns import Column as Setting
from jobs.listing.columns import value_of
from jobs.models import Job
from monitoring.compare.axes import Axis
from monitoring.series.column import Values
from monitoring.series.overlay import Line, averaged, line_of, overlaid
from monitoring.series.smoothing import smoothed
from monitoring.store import points

DIGITS = 6  # of a value that is drawn
NOT_SET = "not set"


@dataclass(frozen=True)
class Window:
    """The part of the axis that is shown, and the pixels that it takes."""

    width: int
    low: float | None = None
    high: float | None = None


def chart(
    jobs: Sequence[Job],
    metric: str,
    axis: Axis,
    window: Window,
    weight: float = 0.0,
    setting: Setting | None = None,
) -> dict[str, Any]:
    """The chart of a metric: the places of the axis, and the values of each line there."""
    found = points.across(jobs, metric)
    shown = [job for job in jobs if job.pk in found and job.pk not in axis.why_not]
    lines, bad = dict[int, Line](), dict[str, int]()
    for job in shown:
        column = found[job.pk].column
        if found[job.pk].bad:
            bad[str(job.pk)] = found[job.pk].bad
        line = line_of(axis.places(job, column.steps), column.values)
        line = Line(line.places, smoothed(line.values, weight))
        lines[job.pk] = line.within(window.low, window.high)
    told = {
        "bad": bad,
        "without": [job.pk for job in jobs if job.pk not in found],
        "why_not": {str(pk): why for pk, why in axis.why_not.items()},
    }
    if setting:
        return told | _grouped(shown, lines, setting, window.width)
    return told | _each(shown, lines, window.width)


def _each(jobs: Sequence[Job], lines: Mapping[int, Line], width: int) -> dict[str, Any]:
    overlay = overlaid([lines[job.pk] for job in jobs], width)
    rows = zip(jobs, overlay.rows, strict=True)
    return {
        "x": rounded(overlay.places, 10),
        "lines": [{"job": job.pk, "y": rounded(row)} for job, row in rows],
        "thinned": overlay.is_thinned,
    }


def _grouped(
    jobs: Sequence[Job], lines: Mapping[int, Line], setting: Setting, width: int
) -> dict[str, Any]:
    groups = groups_of(jobs, setting)
    places, bands = averaged([[lines[job.pk] for job in each] for each in groups.values()], width)
    return {
        "x": rounded(places, 10),
        "groups": [
            {
                "name": name,
                "runs": len(each),
                "mean": rounded(band.mean),
                "low": rounded(band.low),
                "high": rounded(band.high),
            }
            for (name, each), band in zip(groups.items(), bands, strict=True)
        ],
        "thinned": False,
    }


def groups_of(jobs: Sequence[Job], setting: Setting) -> dict[str, list[Job]]:
    """The runs by the value of a setting, in the order of the values."""
    found: dict[Any, list[Job]] = {}
    for job in jobs:
        found.setdefault(value_of(job, setting), []).append(job)
    order = sorted(found, key=lambda value: (value is None, isinstance(value, str), _key(value)))
    return {NOT_SET if value is None else str(value): found[value] for value in order}


def _key(value: Any) -> Any:
    return value if isinstance(value, int | float) else str(value)


def rounded(values: Values, digits: int = DIGITS) -> list[float | None]:
    """As JSON has numbers: None for one that is not finite, and no more digits than are seen."""
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.floor(np.log10(np.abs(values)))
        scale = 10.0 ** (digits - 1 - np.where(np.isfinite(size), size, 0))
        short = np.round(values * scale) / scale
    short = np.where(np.isfinite(short), short, values)
    if np.isfinite(short).all():
        return list(short.tolist())
    return [value if value == value and abs(value) != np.inf else None for value in short.tolist()]
