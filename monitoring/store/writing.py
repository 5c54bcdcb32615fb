"""Appending to the store, and going back to a step. Both want to be called in a transaction that
also moves the cursor of what was read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from jobs.models import Job
from monitoring.models import Block, MetricStore, MetricWrite, Series
from monitoring.series.column import EMPTY, Column
from monitoring.series.encoding import write_frames
from monitoring.series.frame import Frame, frame_of_column, renamed
from monitoring.series.summary import Summary, summaries
from monitoring.store.folding import blocks_for, fold, read_blocks, stored

FOLD_WRITES = 256
FOLD_POINTS = 1 << 18
LARGE = 1 << 16  # points of a write that no open page is sent: it reads anew, thinned to its pixels
MANY = 500  # names; for more the whole job's series are looked up
CLOCK = ""  # the name of the series of times, which is none of the metrics


@dataclass(slots=True)
class Known:
    """A series as it was before a write; without a summary it has no points yet."""

    pk: int
    summary: Summary | None

    def is_before(self, step: int) -> bool:
        return self.summary is None or self.summary.last_step < step


def append(job: Job, frames: Sequence[Frame[str]], times: Column = EMPTY) -> None:
    """Write the points of some lines, and the epoch seconds at which each step was first written.

    ``frames`` hold no series twice at a step. A point that is there already is overwritten, and
    steps may go backwards, so that the same lines twice leave the same points.
    """
    if not frames:
        return
    with transaction.atomic():
        store = _next_write(job)
        known, clock = _known(job, frames)
        fresh = [renamed(frame, {name: known[name].pk for name in frame.keys}) for frame in frames]
        fresh += _ticks(clock, times)
        by_id = {series.pk: series for series in (*known.values(), clock)}
        late = _late(fresh, by_id)
        _keep(store, fresh, late)
        _summarise(fresh, by_id, late)
        store.save()


def _next_write(job: Job) -> MetricStore:
    """The store with the number of the next write; its row is ours until the transaction ends."""
    store, _ = MetricStore.objects.select_for_update().get_or_create(job=job)
    store.number += 1
    return store


def _known(job: Job, frames: Iterable[Frame[str]]) -> tuple[dict[str, Known], Known]:
    """The series of the frames by name, and that of the times; those that are new are made."""
    names = {name for frame in frames for name in frame.keys}
    rows = Series.everything.filter(job=job)
    if len(names) <= MANY:
        rows = rows.filter(Q(name__in=names) | Q(is_clock=True))
    found = {(series.name, series.is_clock): _known_as(series) for series in rows}
    missing = [
        Series(job=job, name=name, is_clock=is_clock)
        for name, is_clock in sorted({(CLOCK, True), *((name, False) for name in names)})
        if (name, is_clock) not in found
    ]
    Series.everything.bulk_create(missing)
    found |= {(series.name, series.is_clock): _known_as(series) for series in missing}
    return {name: found[name, False] for name in names}, found[CLOCK, True]


def _known_as(series: Series) -> Known:
    return Known(series.pk, series.summary if series.count else None)


def _value(value: float | None) -> float:
    return float("nan") if value is None else value


def _ticks(clock: Known, times: Column) -> list[Frame[int]]:
    """The times of steps that are new: the first time of a step stays."""
    new = times if clock.summary is None else times.after(clock.summary.last_step)
    return [frame_of_column(clock.pk, new)] if len(new) else []


def _late(fresh: Iterable[Frame[int]], known: Mapping[int, Known]) -> dict[int, int]:
    """Series with points at or after the first fresh one, and the step of that one."""
    late: dict[int, int] = {}
    for frame in fresh:
        first = int(frame.steps[0])
        for pk in frame.keys:
            if not known[pk].is_before(first):
                late[pk] = min(first, late.get(pk, first))
    return late


def _keep(store: MetricStore, fresh: Sequence[Frame[int]], late: Mapping[int, int]) -> None:
    """Keep a write as it came, and fold when there is enough, or where it is not simply more."""
    points = sum(frame.points for frame in fresh)
    if late or points > LARGE:
        fold(store, fresh, late)
    if points > LARGE:
        store.known_from = store.number
        MetricWrite.objects.filter(store=store).delete()
        return
    data = write_frames(fresh)
    MetricWrite.objects.create(store=store, number=store.number, points=points, data=data)
    store.waiting = 0 if late else store.waiting + points
    if store.waiting > FOLD_POINTS or store.number - store.folded >= FOLD_WRITES:
        fold(store)
        store.waiting = 0


def _summarise(
    fresh: Iterable[Frame[int]], known: Mapping[int, Known], late: Mapping[int, int]
) -> None:
    new = summaries(fresh)
    _save_summaries(
        {
            pk: summary if (before := known[pk].summary) is None else before.then(summary)
            for pk, summary in new.items()
            if pk not in late
        }
    )
    _sum_up(Series.everything.filter(pk__in=late))


def _save_summaries(found: Mapping[int, Summary]) -> None:
    """One statement for each, prepared once: many times faster than ``bulk_update``."""
    rows = [
        (s.last_step, stored(s.last_value), s.low, s.high, s.count, pk) for pk, s in found.items()
    ]
    if rows:
        with connection.cursor() as cursor:
            cursor.executemany(
                f"UPDATE {Series._meta.db_table} SET last_step = %s, last_value = %s, low = %s, "  # noqa: S608
                "high = %s, count = %s WHERE id = %s",
                rows,
            )


def _sum_up(series: QuerySet[Series]) -> None:
    """Summarise series anew from their blocks; those without any are removed."""
    found: dict[int, Summary] = {}
    facts = ("series", "last_step", "last_value", "low", "high", "count")
    rows = Block.objects.filter(series__in=series).order_by("series", "first_step")
    for pk, step, value, low, high, count in rows.values_list(*facts).iterator():
        here = Summary(step, _value(value), low, high, count)
        found[pk] = found[pk].then(here) if pk in found else here
    empty = set(series.values_list("pk", flat=True)) - found.keys()
    _save_summaries(found)
    for begin in range(0, len(ids := sorted(empty)), MANY):
        Series.everything.filter(pk__in=ids[begin : begin + MANY]).delete()


def settle(job: Job) -> None:
    """Put all writes into blocks: where a run has ended, one metric is then read without the
    others of its last writes."""
    with transaction.atomic():
        store = MetricStore.objects.select_for_update().filter(job=job).first()
        if store is not None and store.folded < store.number:
            fold(store)
            store.waiting = 0
            store.save()


def rewind(job: Job, step: int) -> None:
    """Forget all points after a step: a resumed run tells its story anew from there.

    Pages that had read on read anew.
    """
    with transaction.atomic():
        store = _next_write(job)
        fold(store)
        MetricWrite.objects.filter(store=store).delete()
        store.known_from, store.waiting = store.number, 0
        series = Series.everything.filter(job=job, last_step__gt=step)
        _cut(Block.objects.filter(series__job=job, last_step__gt=step), step)
        _sum_up(series)
        store.save()


def _cut(blocks: QuerySet[Block], step: int) -> None:
    across = read_blocks(blocks.filter(first_step__lte=step).iterator())
    kept = [block for pk, _, column in across for block in blocks_for(pk, column.up_to(step))]
    blocks.delete()
    Block.objects.bulk_create(kept)
