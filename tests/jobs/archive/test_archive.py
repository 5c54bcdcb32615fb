"""Archived jobs leave the lists, by page, command and admin, and keep all that they have."""

import io
import json

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from jobs import resuming
from jobs.archive import services
from jobs.models import Job, Status
from tests import factories
from tests.pages import asks_for_login, refuses_other_methods

pytestmark = pytest.mark.usefixtures("queue")
NOW = timezone.now()


@pytest.fixture
def job(user: User) -> Job:
    return factories.make_job(
        user, name="the old one", status=Status.FAILED, started_at=NOW, ended_at=NOW
    )


def names(page: Client, url: str) -> bool:
    return ">the old one</a>" in page.get(url).content.decode()


def test_it_leaves_the_lists_and_a_filter_shows_it(page: Client, job: Job) -> None:
    for url in ("/jobs/", "/"):
        assert names(page, url)
    assert services.archive(job, who="ada")
    for url in ("/jobs/", "/", "/jobs/?archive=nonsense"):
        assert not names(page, url)
    for url in ("/jobs/?archive=only", "/jobs/?archive=all"):
        assert names(page, url)
    assert not services.archive(job, who="ada")
    assert services.unarchive(job, who="ada")
    assert names(page, "/jobs/")
    assert not names(page, "/jobs/?archive=only")
    assert not services.unarchive(job, who="ada")
    assert [(e.kind, e.who) for e in job.events.all()] == [
        ("archived", "ada"),
        ("unarchived", "ada"),
    ]


def test_what_failed_today_counts_no_more(page: Client, job: Job) -> None:
    mark = 'title="Failed today"'
    assert mark in page.get("/jobs/").content.decode()
    services.archive(job, who="ada")
    assert mark not in page.get("/jobs/").content.decode()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"status": Status.QUEUED}, "is queued: stop it first"),
        ({"status": Status.QUEUED, "held_at": NOW}, "is held: stop it first"),
        ({"status": Status.RUNNING, "started_at": NOW}, "is running: stop it first"),
        ({"status": Status.FAILED, "retry_at": NOW}, "about to be tried again: stop it first"),
    ],
)
def test_what_is_underway_is_not_archived(
    page: Client, user: User, fields: dict[str, object], says: str
) -> None:
    job = factories.make_job(user, **fields)
    answer = page.post(f"/jobs/{job.pk}/archive/", follow=True)
    assert says in answer.content.decode()
    job.refresh_from_db()
    assert job.archived_at is None


def test_what_goes_on_comes_back(job: Job) -> None:
    services.archive(job, who="ada")
    assert resuming.resume(job, who="ada")
    assert job.archived_at is None


def test_one_on_its_page(page: Client, job: Job) -> None:
    assert f'action="/jobs/{job.pk}/archive/"' in page.get(f"/jobs/{job.pk}/").content.decode()
    page.post(f"/jobs/{job.pk}/archive/")
    content = page.get(f"/jobs/{job.pk}/").content.decode()
    assert '<span class="tag">archived</span>' in content
    assert f'action="/jobs/{job.pk}/unarchive/"' in content
    page.post(f"/jobs/{job.pk}/unarchive/")
    job.refresh_from_db()
    assert job.archived_at is None


def test_many_in_the_list(page: Client, user: User, other: User, job: Job) -> None:
    more = factories.make_job(user, status=Status.COMPLETED)
    runs = factories.make_job(user, status=Status.RUNNING)
    given = {"job": [job.pk, more.pk, runs.pk], "action": "archive", "query": "q=old&status=failed"}
    answer = page.post("/jobs/ticked/", given)
    assert answer.headers["Location"] == "/jobs/?q=old&status=failed"
    content = page.get(answer.headers["Location"]).content.decode()
    assert "2 of 3 put into the archive." in content
    assert f"Job {runs.pk} is running: stop it first." in content
    page.post("/jobs/ticked/", {"job": [job.pk, more.pk], "action": "unarchive"})
    assert Job.objects.filter(archived_at__isnull=False).count() == 0


def test_ticks_lead_to_comparing_and_to_deleting(page: Client, user: User, job: Job) -> None:
    more = factories.make_job(user, status=Status.COMPLETED)
    for action in ("compare", "delete"):
        answer = page.post("/jobs/ticked/", {"job": [job.pk, more.pk], "action": action})
        assert answer.headers["Location"] == f"/jobs/{action}/?job={more.pk}&job={job.pk}"


@pytest.mark.parametrize("given", [[], ["x"], ["99999"], ["theirs"]])
def test_what_cannot_be_ticked(page: Client, other: User, given: list[str]) -> None:
    theirs = factories.make_job(other, status=Status.COMPLETED)
    jobs = [str(theirs.pk) if each == "theirs" else each for each in given]
    answer = page.post("/jobs/ticked/", {"job": jobs, "action": "archive"}, follow=True)
    assert answer.status_code == 200
    assert b'data-toast="error"' in answer.content
    theirs.refresh_from_db()
    assert theirs.archived_at is None


def test_pages_of_others_and_methods(page: Client, other: User) -> None:
    theirs = factories.make_job(other, status=Status.COMPLETED)
    for verb in ("archive", "unarchive"):
        assert page.post(f"/jobs/{theirs.pk}/{verb}/").status_code == 404
        assert refuses_other_methods(page, f"/jobs/{theirs.pk}/{verb}/", "post")
        assert asks_for_login(f"/jobs/{theirs.pk}/{verb}/", "post")
    assert refuses_other_methods(page, "/jobs/ticked/", "post")
    assert asks_for_login("/jobs/ticked/", "post")


def command(*argv: str) -> list[str]:
    out = io.StringIO()
    call_command(*argv, "--json", stdout=out)
    return [job["name"] for job in json.loads(out.getvalue())]


def test_commands(job: Job, user: User, staff: User) -> None:
    more = factories.make_job(user, name="new", status=Status.COMPLETED)
    assert command("archive", str(job.pk)) == ["the old one"]
    assert command("jobs") == ["new"]
    assert command("jobs", "--archive", "only") == ["the old one"]
    assert command("jobs", "--archive", "all") == ["new", "the old one"]
    with pytest.raises(CommandError, match="is in the archive already"):
        command("archive", str(job.pk))
    assert command("unarchive", str(job.pk)) == ["the old one"]
    with pytest.raises(CommandError, match="is not in the archive"):
        command("unarchive", str(more.pk))


def test_the_admin(client: Client, staff: User, job: Job) -> None:
    client.force_login(staff)
    for action, is_away in (("archive", True), ("unarchive", False)):
        client.post("/admin/jobs/job/", {"action": action, "_selected_action": [job.pk]})
        job.refresh_from_db()
        assert (job.archived_at is not None) is is_away
