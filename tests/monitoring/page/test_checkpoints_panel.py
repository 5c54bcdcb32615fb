"""The panel of checkpoints: what each was worth, which is best, and what can be done with it."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from jobs.models import Artifact, Job, Place
from tests import factories
from tests.pages import queries


@pytest.fixture
def job(user: User) -> Job:
    job = factories.make_job(user, status="stopped", started_at=timezone.now())
    factories.keep_checkpoints(job, {10: 5, 20: 6, 30: 7})
    factories.add_points(job, "val/loss", {10: 0.75, 20: 0.5, 30: 0.625})
    return job


def rows(page: Client, job: Job) -> list[str]:
    text = page.get(f"/jobs/{job.pk}/checkpoints/").content.decode()
    return text.partition("<tbody>")[2].split("<tr>")[1:]


def test_each_says_its_validation_and_one_is_best(page: Client, job: Job) -> None:
    found = rows(page, job)
    assert [value in row for row, value in zip(found, ("0.625", "0.5", "0.75"), strict=True)]
    assert ["best</span>" in row for row in found] == [False, True, False]
    assert 'data-label="val/loss"' in found[0]


def test_without_a_figure_none_is_best(page: Client, user: User) -> None:
    job = factories.make_job(user, status="stopped")
    factories.keep_checkpoints(job, {10: 5})
    (row,) = rows(page, job)
    assert "best</span>" not in row


def test_what_can_be_done_with_one(page: Client, job: Job) -> None:
    artifact = Artifact.objects.get(step=20)
    row = rows(page, job)[1]
    for url in (
        f"/jobs/{job.pk}/resume/?step=20",
        f"/jobs/new/on/{artifact.pk}/",
        f"/jobs/{job.pk}/export/?step=20",
        f"/surgery/average/?job={job.pk}&amp;from={artifact.pk}",
        f"/surgery/new/?from={artifact.pk}",
        f"/artifacts/{artifact.pk}/pin/",
    ):
        assert f'"{url}"' in row
    folder = Place.objects.get(artifact=artifact).path
    assert folder in page.get(f"/surgery/new/?from={artifact.pk}").content.decode()
    page.post(f"/artifacts/{artifact.pk}/pin/")
    row = rows(page, job)[1]
    assert f'formaction="/artifacts/{artifact.pk}/unpin/"' in row
    assert "/delete/" not in row


def test_takes_the_same_queries_for_one_and_three(page: Client, user: User, job: Job) -> None:
    one = factories.make_job(user, status="stopped", started_at=timezone.now())
    factories.keep_checkpoints(one, {10: 5})
    factories.add_points(one, "val/loss", {10: 0.75})
    urls = [f"/jobs/{each.pk}/checkpoints/" for each in (one, job)]
    assert queries(page, urls[0]) == queries(page, urls[1])
