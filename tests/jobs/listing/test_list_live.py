"""The list of jobs looks for news by itself, and is answered nothing while nothing changed."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from jobs.models import Deletion, Job, Status
from tests import factories
from tests.pages import HTMX


def stamp(content: bytes) -> str:
    found = re.search(r'id="jobs-poll".*?"Stamp": "(\w+)"', content.decode(), re.DOTALL)
    assert found, "the list does not look for news"
    return found[1]


@pytest.fixture
def job(user: User) -> Job:
    return factories.make_job(user, status=Status.RUNNING, started_at=timezone.now(), steps=9)


def test_nothing_new_is_no_answer(page: Client, job: Job) -> None:
    seen = stamp(page.get("/jobs/?q=run&sort=name").content)
    again = page.get("/jobs/?q=run&sort=name", headers={**HTMX, "Stamp": seen})
    assert (again.status_code, again.content) == (204, b"")


@pytest.mark.parametrize(
    "change",
    [
        {"step": 3},
        {"status": Status.FAILED, "revision": 9},
        {"name": "another", "revision": 9},
    ],
)
def test_a_change_is_shown_with_its_counts(page: Client, job: Job, change: dict[str, str]) -> None:
    seen = stamp(page.get("/jobs/").content)
    Job.objects.filter(pk=job.pk).update(**change)
    answer = page.get("/jobs/", headers={**HTMX, "Stamp": seen})
    assert answer.status_code == 200
    assert stamp(answer.content) != seen
    assert b'id="count-failed" hx-swap-oob="true"' in answer.content


def test_a_deletion_that_died_is_shown(page: Client, job: Job) -> None:
    now = timezone.now()
    Job.objects.filter(pk=job.pk).update(status=Status.FAILED, deleting_at=now)
    deletion = Deletion.objects.create(job=job, number=job.pk, name=job.name, owner=job.owner)
    seen = stamp(page.get("/jobs/").content)
    assert page.get("/jobs/", headers={**HTMX, "Stamp": seen}).status_code == 204
    Deletion.objects.filter(pk=deletion.pk).update(beat_at=now - timedelta(days=1))
    answer = page.get("/jobs/", headers={**HTMX, "Stamp": seen})
    assert b"Ask again" in answer.content


def test_a_new_job_on_another_page_is_counted(page: Client, user: User, job: Job) -> None:
    seen = stamp(page.get("/jobs/?status=running").content)
    factories.make_job(user, status=Status.FAILED)
    assert page.get("/jobs/?status=running", headers={**HTMX, "Stamp": seen}).status_code == 200


def test_ticks_stay_and_no_row_offers_a_clone_that_there_is_not(page: Client, user: User) -> None:
    job = factories.make_job(user, kind="export", spec={}, status=Status.COMPLETED)
    content = page.get("/jobs/").content.decode()
    assert re.search(rf'id="tick-{job.pk}"[^>]*hx-preserve', content)
    assert f"/jobs/{job.pk}/clone/" not in content
