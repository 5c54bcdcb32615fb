"""What an open page has not seen yet."""

from dataclasses import dataclass, field

from jobs.models import Job
from monitoring.models import MetricStore, MetricWrite, Series
from monitoring.series.column import EMPTY, Column
from monitoring.series.encoding import read_frames
from monitoring.series.frame import columns

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
    # In this order: what is forgotten in between is then told by the store.
    writes = MetricWrite.objects.filter(store=job.pk, number__gt=cursor).order_by("number")
    rows = list(writes.values_list("number", "points", "data"))
    store = MetricStore.objects.filter(job=job).first() or MetricStore(job=job)
    missed = sum(points for _, points, _ in rows)
    if not store.known_from <= cursor <= store.number or missed > MOST:
        return News(store.number, anew=True)
    if not rows:
        return News(cursor)
    found = columns(frame for _, _, data in rows for frame in read_frames(data))
    series = Series.everything.filter(job=job)
    facts = (series.filter(pk__in=found) if len(found) <= MANY else series).in_bulk()
    points = {s.name: found[pk] for pk, s in facts.items() if pk in found and not s.is_clock}
    ticks = (found[pk] for pk, s in facts.items() if pk in found and s.is_clock)
    return News(rows[-1][0], points, next(ticks, EMPTY))
