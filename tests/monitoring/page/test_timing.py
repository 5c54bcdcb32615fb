"""Where the time of a run goes: the panel, its page beside another run, and the command."""

import io
import json
import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from jobs import lifecycle
from jobs.models import Event, Job
from tests import factories
from tests.pages import asks_for_login, queries, refuses_other_methods

pytestmark = pytest.mark.django_db
NOW = timezone.now()


def timed(user: User, **seconds: float) -> Job:
    """A run of GRPO whose three steps took so long in each part."""
    job = factories.make_job(
        user, kind="grpo", spec=factories.grpo_spec().to_json(), status="completed",
        started_at=NOW - timedelta(minutes=1), ended_at=NOW,
    )  # fmt: skip
    for name, each in seconds.items():
        factories.add_points(job, f"timing_s/{name}", dict.fromkeys((1, 2, 3), each))
    return job


def text_of(page: Client, url: str) -> str:
    content = page.get(url).content.decode()
    return " ".join(re.sub(r"<[^>]*>", " ", content).split())


def test_the_panel_names_what_the_run_is_bound_by(page: Client, user: User) -> None:
    job = timed(user, step=10.0, gen=7.0, update_actor=2.0)
    text = text_of(page, f"/jobs/{job.pk}/timing/part/")

    assert "Rollout-bound: it waits for answers : 70 % of the time." in text
    assert "Moved by: Sequences at once, Memory share" in text
    assert "Answers 7.00 s 70 %" in text
    assert "Not measured 1.00 s 10 %" in text


def test_a_run_without_times_says_so(page: Client, user: User) -> None:
    job = timed(user)

    assert "No step of this run told its times." in text_of(page, f"/jobs/{job.pk}/timing/part/")


def test_two_runs_side_by_side_with_the_largest_difference_first(page: Client, user: User) -> None:
    job = timed(user, step=10.0, gen=7.0, update_actor=2.0)
    other = timed(user, step=16.0, gen=12.5, update_actor=2.5)
    text = text_of(page, f"/jobs/{job.pk}/timing/?with={other.pk}")

    assert "Answers 7.00 s 12 s +5.50 s (+79 %)" in text
    assert text.index("+5.50 s") < text.index("+0.50 s")
    assert "Whole 10 s 16 s +6.00 s (+60 %)" in text


@pytest.mark.parametrize("said", ["junk", "999999", "1e9", "-3"])
def test_a_run_that_is_not_there_is_said(page: Client, user: User, said: str) -> None:
    job = timed(user, step=1.0)

    assert f"There is no run {said}" in text_of(page, f"/jobs/{job.pk}/timing/?with={said}")


def test_of_somebody_else_there_is_nothing(page: Client, user: User) -> None:
    mine, theirs = timed(user, step=1.0), timed(factories.make_user(), step=1.0)

    for part in ("", "part/"):
        assert page.get(f"/jobs/{theirs.pk}/timing/{part}").status_code == 404
        assert asks_for_login(f"/jobs/{mine.pk}/timing/{part}")
        assert refuses_other_methods(page, f"/jobs/{mine.pk}/timing/{part}", "get")
    text = text_of(page, f"/jobs/{mine.pk}/timing/?with={theirs.pk}")
    assert f"There is no run {theirs.pk}" in text


def test_more_runs_and_parts_take_no_more_queries(page: Client, user: User) -> None:
    job = timed(user, step=10.0)
    timed(user, step=10.0)
    few = queries(page, f"/jobs/{job.pk}/timing/")
    for _ in range(3):
        timed(user, step=10.0, gen=1.0, ref=1.0)

    assert queries(page, f"/jobs/{job.pk}/timing/") == few


def test_the_command_says_what_the_panel_says(user: User) -> None:
    job = timed(user, step=10.0, gen=7.0)
    for kind, before in (("queued", 70), ("starting", 61), ("running", 60), ("completed", 0)):
        lifecycle.record(job, kind)
        Event.objects.filter(job=job, kind=kind).update(at=NOW - timedelta(seconds=before))
    out = io.StringIO()
    call_command("timing", str(job.pk), "--json", stdout=out)
    found = json.loads(out.getvalue())

    assert [(part["part"], part["seconds"]) for part in found["parts"]] == [
        ("Answers", 21.0),
        ("Not measured", 9.0),
    ]
    assert found["bounds"][0]["knobs"][0] == "max_num_seqs"
    assert found["wall"]["queue"] == pytest.approx(9.0)
    out = io.StringIO()
    call_command("timing", str(job.pk), stdout=out)
    assert "Rollout-bound" in out.getvalue()
