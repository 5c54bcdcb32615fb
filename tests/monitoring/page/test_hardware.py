"""The hardware over a whole run, as its panel and its charts have it."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from jobs.fit.lookups import Lookups
from jobs.models import Job
from monitoring.page import hardware
from monitoring.series.column import in_order
from monitoring.series.frame import frame_of
from monitoring.store import points
from tests import factories
from tests.pages import queries

pytestmark = pytest.mark.django_db
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def job(user: User) -> Job:
    return factories.make_job(user, status="running", started_at=BEGAN, gpus=1)


def sample(job: Job, seconds: float, **data: Any) -> None:
    at = BEGAN + timedelta(seconds=seconds)
    job.system_samples.create(at=at, data=data, attempt=1, position=int(10 * seconds))


def test_columns_over_the_run_with_the_step_of_each_moment(job: Job) -> None:
    import numpy as np

    steps = np.array([1, 2], np.int64)
    times = in_order(steps, np.array([BEGAN.timestamp() + 10, BEGAN.timestamp() + 20]))
    points.append(job, [frame_of(("loss",), steps, np.array([[1.0], [2.0]]))], times)
    gpu = {"index": 1, "util_percent": 50, "memory_used": 7, "power_w": 300.0}
    sample(job, 5, cpu_percent=5, gpus=[])
    sample(job, 15, cpu_percent=7, network_sent=3, gpus=[gpu])

    found = hardware.history(job)
    assert found["at"] == [BEGAN.timestamp() + 5, BEGAN.timestamp() + 15]
    assert found["step"] == [0.0, 1.5]
    assert found["cpu_percent"] == [5, 7]
    assert found["network_sent"] == [None, 3]
    assert found["gpu_util"] == {1: [None, 50]}
    assert found["gpu_power"] == {1: [None, 300.0]}
    assert found["gpu_heat"] == {1: [None, None]}


def test_an_idle_gpu_is_pointed_out_with_what_it_cost(
    page: Client, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Lookups, "price", lambda self, machine: 3.0)
    Job.objects.filter(pk=job.pk).update(
        command={"argv": ["true"], "cwd": "/", "env": {"CUDA_VISIBLE_DEVICES": "1"}, "settings": []}
    )
    for at in range(0, 7201, 360):
        gpus = [{"index": 0, "util_percent": 0}, {"index": 1, "util_percent": 0, "power_w": 60.0}]
        sample(job, at, cpu_percent=40.0, gpus=gpus)

    content = page.get(job.get_absolute_url()).content.decode()
    text = " ".join(re.sub(r"<[^>]*>", " ", content).split())
    assert "GPU 1 was idle in 100 % of 21 samples: about 2 h 00 m of use below 5 %" in text
    assert "which cost 6.00" in text
    assert "GPU 0 was idle" not in text
    assert "GPU 1, power 60 W 60 W" in text


def test_many_samples_are_spread_evenly_and_take_as_many_queries(page: Client, job: Job) -> None:
    for at in range(3):
        sample(job, at, cpu_percent=float(at))
    few = queries(page, f"/jobs/{job.pk}/system/")
    for at in range(3, 9):
        sample(job, at, cpu_percent=float(at))

    assert queries(page, f"/jobs/{job.pk}/system/") == few
    assert [each.data["cpu_percent"] for each in hardware.spread_over(job, 4)] == [0.0, 3.0, 6.0]


def test_a_night_between_two_attempts_is_no_idle_time(job: Job) -> None:
    gpu = {"index": 0, "util_percent": 0}
    for at in range(20):
        sample(job, 10 * at + (30_000 if at > 9 else 0), gpus=[gpu])

    [idle] = hardware.over_the_run(job)["idle"]

    assert idle["gpu"].seconds == pytest.approx(190)
