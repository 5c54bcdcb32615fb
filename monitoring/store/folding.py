"""From writes as they came into blocks: one row for a thousand points of a series."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from monitoring.models import Block, MetricStore, MetricWrite
from monitoring.series.column import Column, merged
from monitoring.series.cutting import BLOCK, blocks_of
from monitoring.series.encoding import read_column, read_frames, write_steps, write_values
from monitoring.series.frame import Frame, columns
from monitoring.series.summary import summary_of

AT_ONCE = 500  # series whose blocks are held in memory together
NOTHING: Mapping[int, int] = {}


def unfolded(store: MetricStore) -> list[Frame[int]]:
    """What is not in blocks yet, in the order in which it was written."""
    rows = MetricWrite.objects.filter(store=store, number__gt=store.folded).order_by("number")
    return [frame for data in rows.values_list("data", flat=True) for frame in read_frames(data)]


def fold(
    store: MetricStore, fresh: Sequence[Frame[int]] = (), late: Mapping[int, int] = NOTHING
) -> None:
    """Put all writes, and ``fresh`` ones behind them, into blocks.

    ``late`` names the series that have points at or after the first fresh one, with its step.
    Writes that were folded the last time are forgotten: a page that has not seen them by now reads
    anew.
    """
    found = columns([*unfolded(store), *fresh])
    ids = list(found)
    for begin in range(0, len(ids), AT_ONCE):
        _into_blocks({pk: found[pk] for pk in ids[begin : begin + AT_ONCE]}, late)
    MetricWrite.objects.filter(store=store, number__lte=store.folded).delete()
    store.known_from = max(store.known_from, store.folded)
    store.folded = store.number


def _into_blocks(found: Mapping[int, Column], late: Mapping[int, int]) -> None:
    known: dict[int, list[Column]] = {}
    replaced = []
    for pk, block, column in _touched(found, late):
        known.setdefault(pk, []).append(column)
        replaced.append(block)
    Block.objects.filter(pk__in=replaced).delete()
    Block.objects.bulk_create(
        [
            block
            for pk, column in found.items()
            for block in blocks_for(pk, merged([*known.get(pk, ()), column]))
        ]
    )


def _touched(
    found: Mapping[int, Column], late: Mapping[int, int]
) -> Iterator[tuple[int, int, Column]]:
    """The blocks that the columns go into: series, block and its points, by step."""
    yield from read_blocks(
        Block.objects.filter(series__in=found.keys() - late.keys(), is_open=True)
    )
    for pk in found.keys() & late.keys():
        first = min(late[pk], found[pk].first_step)
        yield from read_blocks(Block.objects.filter(series=pk, last_step__gte=first))
        # The last block is added to even where the late points begin behind it.
        yield from read_blocks(Block.objects.filter(series=pk, last_step__lt=first, is_open=True))


def read_blocks(rows: "Iterable[Block]") -> Iterator[tuple[int, int, Column]]:
    """Series, block and its points."""
    for block in rows:
        column = read_column(block.steps, block.values, block.first_step, block.last_step)
        yield block.series_id, block.pk, column


def blocks_for(series: int, column: Column) -> Iterator[Block]:
    """The column as blocks; the last one is open to more points when it is not full."""
    for part in blocks_of(column):
        summary = summary_of(part)
        yield Block(
            series_id=series,
            first_step=part.first_step,
            last_step=summary.last_step,
            last_value=stored(summary.last_value),
            low=summary.low,
            high=summary.high,
            count=summary.count,
            steps=write_steps(part.steps),
            values=write_values(part.values),
            is_open=len(part) < BLOCK,
        )


def stored(value: float) -> float | None:
    """A value for a column of the database, where NaN is NULL: SQLite has no other."""
    return None if value != value else value  # NaN alone differs from itself
