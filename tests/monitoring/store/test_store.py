"""The store against a plain dictionary: any appends, rewinds and pages, on both databases."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.models import Job
from monitoring.models import Block, MetricStore, MetricWrite, Series
from monitoring.series import cutting
from monitoring.series.column import Column
from monitoring.series.frame import Frame, frame_of
from monitoring.store import news, points, writing
from tests import factories

pytestmark = pytest.mark.backends
Points = dict[tuple[str, int], float]
NAMES = ("a", "b", "c")


@pytest.fixture
def job(user: User) -> Job:
    return factories.make_job(user)


def frame(names: Sequence[str], rows: Mapping[int, Sequence[float]]) -> Frame[str]:
    steps = np.array(list(rows), np.int64)
    return frame_of(tuple(names), steps, np.array(list(rows.values()), np.float64))


def times(*steps: int) -> Column:
    found = np.array(sorted(steps), np.int64)
    return Column(found, found.astype(np.float64) + 1000)


def points_of(columns: dict[str, Column]) -> Points:
    return {
        (name, step): value
        for name, column in columns.items()
        for step, value in zip(column.steps.tolist(), column.values.tolist(), strict=True)
    }


def stored(job: Job) -> Points:
    found = points.window(job, points.all_names(job))
    return points_of({name: window.column for name, window in found.items()})


def same(one: Points, other: Points) -> bool:
    return one.keys() == other.keys() and all(
        a == b or (math.isnan(a) and math.isnan(b)) for a, b in ((one[k], other[k]) for k in one)
    )


def test_what_is_appended_is_read(job: Job) -> None:
    points.append(job, [frame("ab", {1: [0.5, math.nan], 2: [math.inf, -math.inf]})], times(1, 2))
    assert same(
        stored(job),
        {("a", 1): 0.5, ("b", 1): math.nan, ("a", 2): math.inf, ("b", 2): -math.inf},
    )
    assert points.times(job).values.tolist() == [1001.0, 1002.0]
    assert points.all_names(job) == ["a", "b"]


def test_what_tables_show(job: Job) -> None:
    rows = {1: [3.0, math.nan], 2: [1.0, math.nan], 3: [2.0, math.inf]}
    points.append(job, [frame("ab", rows)])
    found = points.last(job)
    a, b = found["a"], found["b"]
    assert (a.last_step, a.last_value, a.low, a.high, a.count) == (3, 2.0, 1.0, 3.0, 3)
    assert (b.last_value, b.low, b.high, b.count) == (math.inf, None, None, 3)
    assert points.highest([job.pk], "a") == {job.pk: 3.0}
    assert points.highest([job.pk], "b") == {}


def test_a_later_value_of_a_step_wins_whichever_way_it_comes(job: Job) -> None:
    points.append(job, [frame("a", {n: [float(n)] for n in range(1, 6)})])
    points.append(job, [frame("a", {5: [50.0], 2: [20.0], 9: [9.0]})])
    expected = {("a", n): float(n) for n in (1, 3, 4, 9)} | {("a", 2): 20.0, ("a", 5): 50.0}
    assert stored(job) == expected
    found = points.last(job)["a"]
    assert (found.last_step, found.low, found.high, found.count) == (9, 1.0, 50.0, 6)


def test_the_first_time_of_a_step_stays(job: Job) -> None:
    points.append(job, [frame("a", {1: [1.0]})], times(1))
    later = Column(np.array([1, 2], np.int64), np.array([5.0, 6.0]))
    points.append(job, [frame("b", {1: [1.0], 2: [1.0]})], later)
    assert points.times(job).values.tolist() == [1001.0, 6.0]


def test_a_page_is_sent_what_it_has_not_seen(job: Job) -> None:
    points.append(job, [frame("ab", {1: [1.0, 2.0]})], times(1))
    first = points.since(job, 0)
    assert points_of(first.points) == {("a", 1): 1.0, ("b", 1): 2.0}
    assert first.times.steps.tolist() == [1]
    points.append(job, [frame("a", {2: [3.0]})], times(2))
    second = points.since(job, first.number)
    assert (points_of(second.points), second.anew) == ({("a", 2): 3.0}, False)
    assert points.since(job, second.number).points == {}
    assert points.position([job]) == {job.pk: second.number}


def test_a_page_from_another_time_reads_anew(job: Job) -> None:
    points.append(job, [frame("a", {1: [1.0]})])
    assert points.since(job, 99).anew is True


def test_a_large_write_is_read_anew_and_not_sent(job: Job) -> None:
    rows = range(writing.LARGE + 1)
    points.append(job, [frame("a", {n: [float(n)] for n in rows})])
    found = points.since(job, 0)
    assert (found.anew, found.points, found.number) == (True, {}, 1)
    assert points.since(job, 1).anew is False
    assert MetricWrite.objects.count() == 0
    assert len(points.window(job, ["a"])["a"].column) == writing.LARGE + 1


def test_a_story_that_goes_back_drops_the_other_one(job: Job) -> None:
    points.append(job, [frame("ab", {n: [float(n), -float(n)] for n in range(1, 9)})], times(1, 8))
    points.append(job, [frame("c", {8: [1.0]})])
    seen = points.since(job, 0).number
    points.rewind(job, 3)
    assert stored(job) == {(k, n): s * n for n in (1, 2, 3) for k, s in (("a", 1.0), ("b", -1.0))}
    assert not Series.objects.filter(name="c").exists()
    assert (points.last(job)["a"].last_step, points.last(job)["a"].high) == (3, 3.0)
    assert points.times(job).steps.tolist() == [1]
    assert points.since(job, seen).anew is True


def test_many_writes_make_few_blocks(job: Job) -> None:
    for step in range(2 * writing.FOLD_WRITES + 3):
        points.append(job, [frame("a", {step: [float(step)]})], times(step))
    assert Block.objects.filter(series__name="a").count() == 1
    assert MetricWrite.objects.count() < 2 * writing.FOLD_WRITES
    assert len(stored(job)) == 2 * writing.FOLD_WRITES + 3


def test_a_run_that_ended_is_read_from_blocks_alone(job: Job) -> None:
    for step in range(1, 4):
        points.append(job, [frame(["a", "b"], {step: [step, -step]})], times(step))
    seen = points.since(job, 2)
    points.settle(job)
    points.settle(job)
    store = MetricStore.objects.get(job=job)
    assert (store.folded, store.waiting) == (3, 0)
    assert sorted(Block.objects.filter(series__job=job).values_list("count", flat=True)) == [
        3,
        3,
        3,
    ]
    assert points_of(points.since(job, 2).points) == points_of(seen.points), (
        "open pages miss nothing"
    )
    points.append(job, [frame(["a"], {4: [4]})], times(4))
    of_a, of_b = ({(name, step): sign * step for step in range(1, 4)}
                  for name, sign in (("a", 1), ("b", -1)))  # fmt: skip
    assert stored(job) == {**of_a, **of_b, ("a", 4): 4}


def test_a_chart_of_few_pixels_keeps_the_peak(job: Job) -> None:
    rows = {n: [0.0] for n in range(5000)} | {3210: [9.0], 1234: [-9.0], 17: [math.nan]}
    points.append(job, [frame("a", rows)])
    found = points.window(job, ["a"], width=100)["a"]
    shown = dict(zip(found.column.steps.tolist(), found.column.values.tolist(), strict=True))
    assert (shown[3210], shown[1234], found.count, found.bad) == (9.0, -9.0, 5000, 1)
    assert math.isnan(shown[17])
    assert len(shown) <= 302
    part = points.window(job, ["a"], low=3200, high=3220, width=100)["a"]
    assert part.column.steps.tolist() == list(range(3200, 3221))


def test_one_metric_of_many_runs(job: Job, user: User) -> None:
    second, third = factories.make_job(user), factories.make_job(user)
    points.append(job, [frame("ab", {1: [1.0, 9.0]})])
    points.append(second, [frame("a", {2: [2.0]})])
    found = points.across([job, second, third], "a")
    assert {pk: window.column.values.tolist() for pk, window in found.items()} == {
        job.pk: [1.0],
        second.pk: [2.0],
    }


values = st.floats(allow_nan=True, allow_infinity=True, width=64)
lines = st.dictionaries(
    st.integers(0, 30), st.lists(values, min_size=3, max_size=3), min_size=1, max_size=8
)
appends = st.tuples(st.sets(st.sampled_from(NAMES), min_size=1), lines)
actions = st.lists(st.one_of(appends, st.integers(0, 30), st.just("look")), max_size=14)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(actions)
def test_any_story_against_a_dictionary(
    user: User, monkeypatch: pytest.MonkeyPatch, story: list[Any]
) -> None:
    monkeypatch.setattr(writing, "FOLD_WRITES", 3)
    monkeypatch.setattr(writing, "LARGE", 18)
    monkeypatch.setattr(news, "MOST", 30)
    monkeypatch.setattr(cutting.blocks_of, "__defaults__", (4,))
    monkeypatch.setattr("monitoring.store.folding.BLOCK", 4)
    job, model, page = factories.make_job(user), Points(), Page()
    for action in story:
        if action == "look":
            page.look(job)
            assert same(page.points, model)
        elif isinstance(action, int):
            points.rewind(job, action)
            model = {key: value for key, value in model.items() if key[1] <= action}
        else:
            names, rows = action
            ordered = sorted(names)
            chosen = {step: row[: len(ordered)] for step, row in rows.items()}
            points.append(job, [frame(ordered, chosen)], times(*chosen))
            for step, row in chosen.items():
                new = {(n, step): v for n, v in zip(ordered, row, strict=True)}
                model |= new
                page.unseen |= new
        assert_kept(job, model)
    page.look(job)
    assert same(page.points, model)


class Page:
    """An open page: takes what is new, or reads all again where it is told to."""

    def __init__(self) -> None:
        self.cursor, self.points, self.unseen = 0, Points(), Points()

    def look(self, job: Job) -> None:
        found = points.since(job, self.cursor)
        new = points_of(found.points)
        assert found.anew or same(new, self.unseen)
        self.points = stored(job) if found.anew else self.points | new
        self.cursor, self.unseen = found.number, Points()


def assert_kept(job: Job, model: Points) -> None:
    assert same(stored(job), model)
    found = points.last(job)
    assert found.keys() == {name for name, _ in model}
    for name, summary in found.items():
        column = {step: value for (key, step), value in model.items() if key == name}
        finite = [value for value in column.values() if math.isfinite(value)]
        assert (summary.last_step, summary.count) == (max(column), len(column))
        assert same({("", 0): summary.last_value}, {("", 0): column[max(column)]})
        assert (summary.low, summary.high) == (
            min(finite, default=None),
            max(finite, default=None),
        )
    opened = Block.objects.filter(series__job=job, is_open=True).values_list("series", flat=True)
    assert len(opened) == len(set(opened))
