"""Answers what jobs ask of their metrics: see ``jobs.measured``."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from django.db import connection
from django.db.models import Exists, F, OuterRef, Q, Subquery, Sum

from jobs.measured import HIGH, LAST, LOW, Figure, Jobs
from jobs.models import Job
from monitoring.models import Series
from monitoring.series.frame import frame_of
from monitoring.store import points

FIELDS = {LAST: "last_value", LOW: "low", HIGH: "high"}
MOST_NAMES = 20_000  # of all jobs together
# A step from each name to the next by the index: as quick as there are names, however many series.
NAMES = """
WITH RECURSIVE named(name) AS (
    SELECT MIN(name) FROM {table} WHERE name > ''
    UNION ALL
    SELECT (SELECT MIN(name) FROM {table} WHERE name > named.name) FROM named
    WHERE named.name IS NOT NULL
)
SELECT name FROM named WHERE name IS NOT NULL LIMIT %s
"""


class StoredFigures:
    def greatest(self, job_ids: Collection[int], metric: str) -> Mapping[int, float]:
        return points.highest(job_ids, metric)

    def figures(
        self, job_ids: Collection[int], metrics: Collection[str]
    ) -> Mapping[str, Mapping[int, Figure]]:
        rows = Series.objects.filter(job__in=job_ids, name__in=metrics)
        found: dict[str, dict[int, Figure]] = {}
        for name, pk, step, last, low, high in rows.values_list(
            "name", "job_id", "last_step", "last_value", "low", "high"
        ):
            found.setdefault(name, {})[pk] = Figure(step, last, low, high)
        return found

    def names(self, job_ids: Collection[int], most: int) -> list[str]:
        rows = Series.objects.filter(job__in=job_ids).order_by("name")
        return list(rows.values_list("name", flat=True).distinct()[:most])

    def all_names(self) -> list[str]:
        with connection.cursor() as cursor:
            cursor.execute(NAMES.format(table=Series._meta.db_table), [MOST_NAMES])
            return [name for (name,) in cursor.fetchall()]

    def names_had(self, jobs: Jobs, names: Collection[str]) -> list[str]:
        # By the index alone: times have no name, so that nobody must look whether it is those.
        rows = Series.everything.filter(name__in=names, job__in=jobs.order_by().values("pk"))
        return list(rows.order_by("name").values_list("name", flat=True).distinct())

    def holding(self, metrics: Collection[str], figure: str, lookup: str, value: Any) -> Q:
        asked = {f"{FIELDS[figure]}__{lookup}": value}
        # For each job until the first that fits: many metrics may stand below one word.
        return Q(Exists(Series.everything.filter(job=OuterRef("pk"), name__in=metrics, **asked)))

    def counts(self, job_ids: Collection[int]) -> Mapping[int, int]:
        rows = Series.objects.filter(job__in=job_ids).order_by().values("job_id")
        return dict(rows.annotate(points=Sum("count")).values_list("job_id", "points"))

    def steady(self, job_id: int, metrics: Collection[str]) -> Mapping[str, float]:
        job = Job.objects.get(pk=job_id)
        windows = points.window(job, metrics)
        found = {}
        for name, window in windows.items():
            later = window.column.values[1:]
            finite = later[np.isfinite(later)]
            if len(finite):
                found[name] = float(np.median(finite))
        return found

    def pace(self, job_id: int) -> float | None:
        written = points.times(Job.objects.get(pk=job_id))
        if len(written) < 3:
            return None
        # The first interval holds what is made once. A pause, or a validation, is one of many.
        return float(np.median(np.diff(written.values)[1:]))

    def at_steps(
        self, steps: Mapping[int, Collection[int]], metrics: Collection[str]
    ) -> Mapping[int, Mapping[int, Mapping[str, float]]]:
        return points.at_steps(steps, metrics)

    def note(self, job: Job, step: int, values: Mapping[str, float]) -> None:
        column = np.array([[*values.values()]], np.float64)
        points.append(job, [frame_of(tuple(values), np.array([step], np.int64), column)])

    def ordered(self, jobs: Jobs, metric: str, by: str) -> Jobs:
        field = FIELDS[by.removeprefix("-")]
        value = Series.objects.filter(job=OuterRef("pk"), name=metric).values(field)[:1]
        figure = F("ordered_by")
        order = figure.desc(nulls_last=True) if by[0] == "-" else figure.asc(nulls_last=True)
        found: Jobs = jobs.annotate(ordered_by=Subquery(value)).order_by(order, "-pk")
        return found
