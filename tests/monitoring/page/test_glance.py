"""The figures at the top of a run's page."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from jobs import events as kinds
from jobs.fit.lookups import Lookups
from jobs.fit.spent import cost_of
from jobs.models import Event, Job
from monitoring.page import glance
from tests import factories

pytestmark = pytest.mark.django_db
NOW = timezone.now()


def running(user: User, kind: str = "grpo", **fields: Any) -> Job:
    given = {"status": "running", "started_at": NOW - timedelta(hours=1), "steps": 100}
    spec = factories.spec_of(kind).to_json()
    return factories.make_job(user, kind=kind, spec=spec, **given | fields)


def text_of(page: Client, job: Job) -> str:
    content = page.get(job.get_absolute_url()).content.decode()
    return " ".join(re.sub(r"<[^>]*>", " ", content).split())


def test_the_mean_of_validation_stands_there_with_its_best(page: Client, user: User) -> None:
    job = running(user, gpus=1)
    factories.add_points(job, "val-core/gsm8k/acc/mean@4", {10: 0.4, 20: 0.6, 30: 0.5})
    factories.add_points(job, "val-core/gsm8k/acc/best@4/mean", {30: 0.9})
    factories.add_points(job, "val-aux/gsm8k/length/mean@4", {30: 80.0})
    factories.add_points(job, "perf/throughput", {30: 1300.0})

    text = text_of(page, job)
    assert "Validation 0.5 at step 30, best 0.6" in text
    assert "Throughput 1.3k tok/s a GPU" in text


def test_of_a_loss_the_least_is_the_best(page: Client, user: User) -> None:
    job = running(user, "sft")
    factories.add_points(job, "val/loss", {10: 0.4, 20: 0.3, 30: 0.5})
    factories.add_points(job, "train/global_tokens", {30: 1000.0})
    factories.add_points(job, "timing_s/step", {30: 0.5})

    text = text_of(page, job)
    assert "Validation 0.5 at step 30, best 0.3" in text
    assert "Throughput 2k tok/s" in text


def test_nothing_is_said_of_what_was_not_measured(page: Client, user: User) -> None:
    text = text_of(page, running(user))

    assert "Throughput" not in text
    assert "Cost" not in text
    assert "best" not in text


def test_the_time_left_has_the_band_of_its_latest_steps(user: User) -> None:
    at = [0.0, 10.0, 20.0, 30.0, 40.0, 60.0]
    job = running(
        user,
        step=90,
        recent_steps=[[85 + n, seconds] for n, seconds in enumerate(at)],
        anchor_step=85,
        anchor_at=NOW,
        step_at=NOW + timedelta(seconds=60),
    )

    found = glance.left_of(job)
    assert found is not None
    assert (found[0].total_seconds(), found[1].total_seconds()) == (100.0, 160.0)
    assert glance.left_of(running(user, step=90)) is None


def test_the_tab_says_how_far_it_is(page: Client, user: User) -> None:
    job = running(user, step=42)
    content = page.get(job.get_absolute_url()).content.decode()

    assert f"<title>42 % · {job.name}" in content
    ended = running(user, step=42, status="failed")
    assert f"<title>{ended.name}" in page.get(ended.get_absolute_url()).content.decode()


def test_gpus_cost_what_the_table_says(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lookups, "price", lambda self, machine: 2.5)
    job = running(user, gpus=4, ended_at=NOW + timedelta(hours=1), status="completed")

    assert cost_of(job) == pytest.approx(2.5 * 4 * 2)
    assert cost_of(running(user, gpus=0)) is None


def tell(job: Job, phase: str, seconds: float) -> None:
    assert job.started_at is not None
    at = job.started_at + timedelta(seconds=seconds)
    Event.objects.create(job=job, at=at, kind=kinds.RUN_PHASE, source=Event.Source.RUN,
                         data={"phase": phase}, attempt=job.attempt)  # fmt: skip


def test_a_start_shows_its_phases_beside_those_of_last_time(page: Client, user: User) -> None:
    before = running(user, "sft", status="completed", ended_at=NOW, started_at=NOW - timedelta(1))
    for phase, seconds in (("processes", 20), ("model", 50), ("update", 60)):
        tell(before, phase, seconds)
    job = running(user, "sft")
    tell(job, "processes", 25)

    text = text_of(page, job)
    assert "Processes 25 s (20 s last time)" in text
    assert "(30 s last time)" in text
    assert "First update (10 s last time)" in text
    tell(job, "model", 40)
    tell(job, "update", 45)
    assert "last time)" not in text_of(page, job)
    assert "Processes 25 s 20 s Model 15 s 30 s" in text_of(page, job)


def test_a_start_tells_nothing_of_a_run_that_its_owner_may_not_see(
    page: Client, user: User, other: User
) -> None:
    before = running(other, "sft", status="completed", ended_at=NOW, started_at=NOW - timedelta(1))
    for phase, seconds in (("processes", 20), ("model", 50), ("update", 60)):
        tell(before, phase, seconds)
    job = running(user, "sft")
    tell(job, "processes", 25)
    assert "last time)" not in text_of(page, job)
    User.objects.filter(pk=user.pk).update(is_staff=True)
    assert "(30 s last time)" in text_of(page, job)
