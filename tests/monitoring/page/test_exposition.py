"""What a Prometheus is told, and who may ask."""

import math

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from jobs.models import Job
from tests import factories
from tests.pages import queries, refuses_other_methods

TOKEN = "0123456789abcdef"


@pytest.fixture
def job(user: User) -> Job:
    job = factories.make_job(user, name='a "run"\n', status="running", step=2, steps=9)
    Job.objects.filter(pk=job.pk).update(started_at=timezone.now(), step_at=timezone.now())
    factories.add_points(job, "train/loss", {1: 1.5, 2: math.nan})
    factories.add_points(job, "val-core/x/acc", {2: 0.25})
    factories.add_points(job, "other", {2: 0.25})
    return job


def test_of_an_active_run(page: Client, job: Job) -> None:
    response = page.get("/metrics")
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    lines = response.content.decode().splitlines()
    labels = f'job="{job.pk}",name="a \\"run\\"\\n",kind="sft",machine="{job.machine.name}"'
    assert f"trainyard_run_step{{{labels}}} 2.0" in lines
    assert f"trainyard_run_steps{{{labels}}} 9.0" in lines
    assert f'trainyard_run_metric{{{labels},metric="train/loss"}} NaN' in lines
    assert f'trainyard_run_metric{{{labels},metric="val-core/x/acc"}} 0.25' in lines
    assert 'trainyard_jobs{status="running"} 1.0' in lines
    assert 'trainyard_jobs{status="failed"} 0.0' in lines
    assert not [line for line in lines if "other" in line]
    kinds = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(kinds) == len(set(kinds))


def test_the_token_tells_of_all_and_a_user_of_his_own(
    page: Client, other: User, settings: Settings
) -> None:
    settings.TRAINYARD_METRICS_TOKEN = TOKEN
    factories.make_job(other, name="hidden", status="running")
    assert "hidden" not in page.get("/metrics").content.decode()
    asked = Client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert "hidden" in asked.content.decode()


@pytest.mark.parametrize("said", ["", "Bearer ", "Bearer x", f"Basic {TOKEN}", TOKEN])
def test_others_are_refused(said: str, settings: Settings) -> None:
    for token in ("", TOKEN):
        settings.TRAINYARD_METRICS_TOKEN = token
        response = Client().get("/metrics", headers={"Authorization": said})
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert b"trainyard_jobs" not in response.content


def test_takes_the_same_queries_for_one_run_and_three(page: Client, user: User, job: Job) -> None:
    one = queries(page, "/metrics")
    for _ in range(2):
        more = factories.make_job(user, status="running")
        factories.add_points(more, "train/loss", {1: 1.5})
    assert queries(page, "/metrics") == one


def test_wrong_method(page: Client) -> None:
    assert refuses_other_methods(page, "/metrics", "get")
