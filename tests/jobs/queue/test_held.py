"""A held job is told from a queued one on every page, by every command, and in the admin."""

import json

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from jobs import resuming
from jobs.launch import end
from jobs.models import Job, Status
from jobs.queue import verbs
from tests import factories

pytestmark = pytest.mark.usefixtures("queue")


@pytest.fixture
def held(user: User) -> Job:
    job = factories.make_job(user, name="the held one", status=Status.QUEUED)
    verbs.hold(job, user, "no data yet")
    return job


@pytest.mark.parametrize("url", ["/jobs/", "/queue/", "/", "/jobs/{pk}/", "/machines/{machine}/"])
def test_every_page_shows_it(page: Client, held: Job, url: str) -> None:
    content = page.get(url.format(pk=held.pk, machine=held.machine_id)).content.decode()
    assert 'data-status="held"' in content
    if "machines" not in url:
        assert "Held by ada: no data yet." in content


def test_the_admin_shows_it(client: Client, staff: User, held: Job) -> None:
    client.force_login(staff)
    content = client.get("/admin/jobs/job/").content.decode()
    assert '<td class="field-status_now">Held</td>' in content


def test_commands_show_it(held: Job, user: User, capsys: pytest.CaptureFixture[str]) -> None:
    factories.make_job(user, name="waits", status=Status.QUEUED)
    call_command("jobs")
    assert f"{held.pk:>6}  held " in capsys.readouterr().out
    for wanted, name in (("held", "the held one"), ("queued", "waits")):
        call_command("jobs", "--status", wanted, "--json")
        assert [job["name"] for job in json.loads(capsys.readouterr().out)] == [name]


def test_the_list_filters_and_counts_it(page: Client, held: Job, user: User) -> None:
    factories.make_job(user, name="waits", status=Status.QUEUED)
    for wanted, there, absent in (
        ("held", "the held one", "waits<"),
        ("queued", "waits<", "held one"),
    ):
        content = page.get(f"/jobs/?status={wanted}").content.decode()
        assert there in content
        assert absent not in content
        assert f'id="count-{wanted}">1<' in content


def test_who_waits_for_it_says_that_it_is_held(page: Client, held: Job, user: User) -> None:
    factories.make_job(user, status=Status.QUEUED, after=held)
    content = page.get("/queue/").content.decode()
    assert f"After job {held.pk}, which is held." in content


def test_stopped_and_queued_again_it_is_held_no_more(held: Job) -> None:
    Job.objects.filter(pk=held.pk).update(started_at=timezone.now())
    held.refresh_from_db()
    assert end.stop(held, who="ada")
    assert held.stands == "stopped"
    assert resuming.resume(held, who="ada")
    assert (held.stands, held.held_by, held.held_why) == ("queued", "", "")
