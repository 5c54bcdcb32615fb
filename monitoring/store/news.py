"""What an open page has not seen yet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_

from django.db.models import Q

from jobs.models import Job
from monitoring.models import MetricStore, MetricWrite, Series
from monitoring.series.column import EMPTY, Column
from monitoring.series.encoding import Buffer, read_frames
from monitoring.series.frame import Frame, columns

MANY = 500  # series; for more all of the job are looked up
MOST = 1 << 16  # points; a page that has missed more reads anew


@dataclass(frozen=True)
class News:
    """``number`` is the page's next cursor.

    ``anew`` says that what the page shows is not the beginning of what there is now, or that it
    missed too much: it must read the points of its charts again.
    """

    number: int
    points: dict[str, Column] = field(default_factory=dict)
    times: Column = EMPTY
    anew: bool = False


def since(job: Job, cursor: int) -> News:
    """The points that were written after a cursor, which is the ``number`` of what came before."""
    number, anew, frames = _missed({job.pk: cursor})[job.pk]
    if anew or not frames:
        return News(number, anew=anew)
    found = columns(frames)
    series = Series.everything.filter(job=job)
    facts = (series.filter(pk__in=found) if len(found) <= MANY else series).in_bulk()
    points = {s.name: found[pk] for pk, s in facts.items() if pk in found and not s.is_clock}
    ticks = (found[pk] for pk, s in facts.items() if pk in found and s.is_clock)
    return News(number, points, next(ticks, EMPTY))


def since_across(cursors: Mapping[int, int], name: str) -> dict[int, News]:
    """The same for one metric of many jobs: cursors by the job's id, and the news of each."""
    if not cursors:
        return {}
    rows = Series.objects.filter(job__in=cursors, name=name)
    ids = dict(rows.values_list("job_id", "pk"))
    found = {}
    for pk, (number, anew, frames) in _missed(cursors).items():
        column = columns(frames, only=[ids.get(pk, 0)]).get(ids.get(pk, 0), EMPTY)
        found[pk] = News(number, {name: column} if len(column) else {}, anew=anew)
    return found


def _missed(cursors: Mapping[int, int]) -> dict[int, tuple[int, bool, list[Frame[int]]]]:
    """By job the next cursor, whether to read anew, and otherwise what was written meanwhile."""
    later = (Q(store=pk, number__gt=cursor) for pk, cursor in cursors.items())
    # In this order: what is forgotten in between is then told by the store.
    rows: dict[int, list[tuple[int, int, Buffer]]] = {pk: [] for pk in cursors}
    writes = MetricWrite.objects.filter(reduce(or_, later)).order_by("store", "number")
    for pk, number, points, data in writes.values_list("store", "number", "points", "data"):
        rows[pk].append((number, points, data))
    stores = MetricStore.objects.in_bulk(list(cursors))
    none = MetricStore()
    return {pk: _since(stores.get(pk, none), cursors[pk], rows[pk]) for pk in cursors}


def _since(
    store: MetricStore, cursor: int, rows: Sequence[tuple[int, int, Buffer]]
) -> tuple[int, bool, list[Frame[int]]]:
    missed = sum(points for _, points, _ in rows)
    if not store.known_from <= cursor <= store.number or missed > MOST:
        return store.number, True, []
    number = rows[-1][0] if rows else cursor
    return number, False, [frame for _, _, data in rows for frame in read_frames(data)]
