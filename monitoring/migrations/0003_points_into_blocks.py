from itertools import groupby
from operator import itemgetter

import numpy as np
from django.db import migrations

from monitoring.series.column import Column
from monitoring.series.cutting import BLOCK, blocks_of
from monitoring.series.encoding import write_steps, write_values
from monitoring.series.summary import summary_of

AT_ONCE = 200  # rows of a statement


def into_blocks(apps, schema_editor):
    """One row a point becomes one row for a thousand points, job by job."""
    Point, MetricStore = (apps.get_model("monitoring", name) for name in ("Point", "MetricStore"))
    for job in Point.objects.order_by().values_list("job", flat=True).distinct():
        MetricStore.objects.create(job_id=job)
        rows = Point.objects.filter(job=job).order_by("series", "step")
        points = rows.values_list("series", "step", "value").iterator(chunk_size=10_000)
        keep(apps, (series_of(pk, found) for pk, found in groupby(points, itemgetter(0))))


def series_of(pk, rows):
    steps, values = zip(*((step, value) for _, step, value in rows), strict=True)
    return pk, Column(np.array(steps, np.int64), np.array(values, np.float64))  # None is NaN


def keep(apps, found):
    Block, Series = (apps.get_model("monitoring", name) for name in ("Block", "Series"))
    blocks, summaries = [], []
    for pk, column in found:
        blocks += [block_of(Block, pk, part) for part in blocks_of(column)]
        summary = summary_of(column)
        summaries.append(
            Series(pk=pk, low=summary.low, high=summary.high, count=summary.count)
        )
        if len(blocks) >= AT_ONCE:
            Block.objects.bulk_create(blocks)
            blocks = []
    Block.objects.bulk_create(blocks)
    Series.objects.bulk_update(summaries, ["low", "high", "count"], batch_size=AT_ONCE)


def block_of(Block, series, part):
    summary = summary_of(part)
    value = summary.last_value
    return Block(
        series_id=series,
        first_step=part.first_step,
        last_step=summary.last_step,
        last_value=None if np.isnan(value) else value,
        low=summary.low,
        high=summary.high,
        count=summary.count,
        steps=write_steps(part.steps),
        values=write_values(part.values),
        is_open=len(part) < BLOCK,
    )


class Migration(migrations.Migration):

    dependencies = [("monitoring", "0002_metric_store")]

    operations = [
        migrations.RunPython(into_blocks, migrations.RunPython.noop, elidable=True),
        migrations.DeleteModel("Point"),
    ]
