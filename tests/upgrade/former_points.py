"""Points as they were kept when each was a row."""

import math
from collections.abc import Mapping
from typing import Any

from monitoring.series.cutting import BLOCK

ODD = {2: math.nan, 3: math.inf, 4: -math.inf, 1500: math.nan}
LONG = {step: 1 / step for step in range(1, 2501)} | ODD | {7: 70.5}
WHOLE = {step: float(step) for step in range(2 * BLOCK)}
GAPS = {900: 0.25, 20: math.nan, 0: -1.5, 70_000: math.inf}  # in the order of their writing
ONLY_NAN = {5: math.nan}
POINTS: dict[str, dict[str, dict[int, float]]] = {
    "listed": {"loss": LONG, "whole": WHOLE, "gaps": GAPS, "only nan": ONLY_NAN},
    "not listed": {"loss": {1: 0.5, 2: 0.25}},
}


def make(apps: Any) -> None:
    jobs = apps.get_model("jobs", "Job").objects
    for name, series in POINTS.items():
        job = jobs.get(name=name)
        for metric, points in series.items():
            make_series(apps, job, metric, points)
    jobs.get(name="waits").series.create(name="has no point")


def make_series(apps: Any, job: Any, name: str, points: Mapping[int, float]) -> None:
    last = max(points)
    series = job.series.create(name=name, last_step=last, last_value=kept(points[last]))
    Point = apps.get_model("monitoring", "Point")
    rows = {
        step: Point(job=job, series=series, step=step, value=kept(value), revision=number)
        for number, (step, value) in enumerate(points.items(), 1)
    }
    again = [rows.pop(step) for step in (7,) if name == "loss" and step in rows]
    Point.objects.bulk_create(rows.values())
    for point in again:  # a run that went back wrote this step once more, long after the others
        point.revision = len(points) + 1
    Point.objects.bulk_create(again)


def kept(value: float) -> float | None:
    return None if math.isnan(value) else value
