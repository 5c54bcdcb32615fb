"""The usual values of a run's metrics, by which estimates are judged."""

import numpy as np
import pytest
from django.contrib.auth.models import User

from jobs import measured
from jobs.models import Job
from monitoring.series.column import Column
from monitoring.series.frame import frame_of
from monitoring.store import points
from tests import factories

pytestmark = pytest.mark.backends


@pytest.fixture
def job(user: User) -> Job:
    return factories.make_job(user)


def keep(job: Job, values: list[float], seconds: list[float]) -> None:
    steps = np.arange(1, len(values) + 1, dtype=np.int64)
    frame = frame_of(("timing_s/gen",), steps, np.array([values], np.float64).T)
    points.append(job, [frame], Column(steps, np.array(seconds, np.float64)))


def test_the_first_step_is_no_usual_one(job: Job) -> None:
    keep(job, [90.0, 10.0, 12.0, 11.0], [100.0, 200.0, 214.0, 226.0])

    assert measured.steady(job.pk, ["timing_s/gen", "timing_s/ref"]) == {"timing_s/gen": 11.0}
    assert measured.pace(job.pk) == 13.0


def test_one_step_tells_nothing(job: Job) -> None:
    keep(job, [90.0], [100.0])

    assert measured.steady(job.pk, ["timing_s/gen"]) == {}
    assert measured.pace(job.pk) is None


def test_what_is_no_number_is_left_out(job: Job) -> None:
    keep(job, [1.0, float("nan"), 3.0], [1.0, 2.0, 3.0])

    assert measured.steady(job.pk, ["timing_s/gen"]) == {"timing_s/gen": 3.0}


def test_what_metrics_were_at_the_steps_of_each_job(job: Job, user: User) -> None:
    second = factories.make_job(user)
    factories.add_points(job, "val/loss", {10: 2.0, 20: 1.5, 30: 1.0})
    factories.add_points(job, "train/loss", {20: 0.5})
    factories.add_points(job, "actor/entropy", {20: 9.0})
    factories.add_points(second, "val/loss", {10: 4.0, 15: 3.0})

    asked = {job.pk: {20, 30, 40}, second.pk: {10}}
    assert measured.at_steps(asked, ["val/loss", "train/loss"]) == {
        job.pk: {20: {"val/loss": 1.5, "train/loss": 0.5}, 30: {"val/loss": 1.0}},
        second.pk: {10: {"val/loss": 4.0}},
    }
    assert measured.at_steps({job.pk: set()}, ["val/loss"]) == {}
    assert measured.at_steps(asked, []) == {}
