"""Points that were rows are read back from blocks as they were, and a run goes on from them."""

import math

import numpy as np
import pytest

from jobs.models import Job
from monitoring.models import Block, MetricStore
from monitoring.series.cutting import BLOCK
from monitoring.store import points
from tests import factories
from tests.upgrade.former_points import GAPS, LONG, ONLY_NAN, POINTS, WHOLE

pytestmark = [
    pytest.mark.backends,
    pytest.mark.xdist_group("upgrade"),
    pytest.mark.usefixtures("upgraded", "db"),
]


def assert_kept(job: Job, name: str, expected: dict[int, float]) -> None:
    column = points.window(job, [name])[name].column
    assert column.steps.tolist() == sorted(expected)
    values = [expected[step] for step in sorted(expected)]
    np.testing.assert_array_equal(column.values, np.array(values))  # for which NaN is NaN


@pytest.mark.parametrize("name", POINTS)
def test_every_point_is_read_back(name: str) -> None:
    job = Job.objects.get(name=name)
    assert points.all_names(job) == sorted(POINTS[name])
    for metric, expected in POINTS[name].items():
        assert_kept(job, metric, expected)


def test_tables_show_what_the_points_are() -> None:
    found = points.last(Job.objects.get(name="listed"))
    loss, gaps, nan = found["loss"], found["gaps"], found["only nan"]
    assert (loss.last_step, loss.last_value, loss.count) == (2500, 1 / 2500, len(LONG))
    assert (loss.low, loss.high) == (1 / 2500, 70.5)
    assert (gaps.last_step, gaps.last_value, gaps.count) == (70_000, math.inf, len(GAPS))
    assert (gaps.low, gaps.high) == (-1.5, 0.25)
    assert (nan.last_step, nan.low, nan.high, nan.count) == (5, None, None, len(ONLY_NAN))
    assert math.isnan(nan.last_value)


def test_blocks_are_full_but_for_the_last() -> None:
    def blocks(name: str) -> list[tuple[int, int, int, bool]]:
        rows = Block.objects.filter(series__job__name="listed", series__name=name)
        return list(rows.values_list("first_step", "last_step", "count", "is_open"))

    assert blocks("loss") == [
        (1, BLOCK, BLOCK, False),
        (BLOCK + 1, 2 * BLOCK, BLOCK, False),
        (2 * BLOCK + 1, 2500, 2500 - 2 * BLOCK, True),
    ]
    assert blocks("whole") == [(0, BLOCK - 1, BLOCK, False), (BLOCK, 2 * BLOCK - 1, BLOCK, False)]
    assert blocks("gaps") == [(0, 70_000, 4, True)]


def test_a_run_goes_on_where_its_points_end() -> None:
    job = Job.objects.get(name="listed")
    factories.add_points(job, "loss", {7: 7.5, 2501: 0.125})
    factories.add_points(job, "whole", {len(WHOLE): 0.5})
    assert_kept(job, "loss", LONG | {7: 7.5, 2501: 0.125})
    assert_kept(job, "whole", WHOLE | {len(WHOLE): 0.5})
    assert points.position([job]) == {job.pk: 2}


def test_a_job_without_points_has_none() -> None:
    job = Job.objects.get(name="waits")
    assert points.all_names(job) == ["has no point"]
    assert points.window(job, ["has no point"]) == {}
    assert not MetricStore.objects.filter(job=job).exists()
    factories.add_points(job, "has no point", {1: 0.5})
    assert_kept(job, "has no point", {1: 0.5})
