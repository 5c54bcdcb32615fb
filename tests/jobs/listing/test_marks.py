"""Tags, notes and pins: on a job's page, for ticked jobs, and in the list."""

import re

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from jobs import events, lifecycle
from jobs.listing import marks
from jobs.models import Job
from tests import factories
from tests.pages import HTMX, asks_for_login, refuses_other_methods


@pytest.fixture
def job(user: User) -> Job:
    return factories.make_job(user, name="a run")


def tags(job: Job) -> list[str]:
    return [tag.name for tag in job.tags.all()]


def test_tags_are_put_on_and_taken_off(page: Client, job: Job) -> None:
    url = f"/jobs/{job.pk}/tags/"
    assert page.post(url, {"tags": "good, paper good"}).status_code == 302
    assert tags(job) == ["good", "paper"]
    seen = Job.objects.get(pk=job.pk).revision
    assert seen > job.revision  # open lists look anew
    answer = page.post(url, {"tags": "paper"}, headers=HTMX)
    assert tags(job) == ["paper"]
    assert 'id="run-marks"' in answer.content.decode()
    page.post(url, {"tags": ""})
    assert tags(job) == []


@pytest.mark.parametrize("text", ["x" * 41, "a=b", 'a"', "<script>", " ".join(map(str, range(21)))])
def test_a_tag_that_cannot_be_one_is_refused_and_kept(page: Client, job: Job, text: str) -> None:
    for headers in ({}, HTMX):
        answer = page.post(f"/jobs/{job.pk}/tags/", {"tags": text}, headers=headers)
        content = answer.content.decode()
        assert answer.status_code == 422
        assert 'id="tags-error"' in content
        assert "<script>a" not in content
    assert tags(job) == []


def test_a_note_is_kept_and_shown_as_written(page: Client, job: Job) -> None:
    url = f"/jobs/{job.pk}/note/"
    page.post(url, {"note": " two\r\nlines <b> "})
    job.refresh_from_db()
    assert job.note == "two\nlines <b>"
    run = page.get(f"/jobs/{job.pk}/").content.decode()
    assert "lines &lt;b&gt;" in run
    assert "lines &lt;b&gt;" in page.get("/jobs/").content.decode()
    answer = page.post(url, {"note": "x" * 4001}, headers=HTMX)
    assert answer.status_code == 422
    assert "x" * 4001 in answer.content.decode()


def test_a_pin_is_of_its_user(page: Client, job: Job, user: User, staff: User) -> None:
    url = f"/jobs/{job.pk}/pinned/"
    page.post(url, {"on": "1"})
    page.post(url, {"on": "1"})
    assert [pin.user for pin in job.pins.all()] == [user]
    assert 'aria-pressed="true"' in page.get(f"/jobs/{job.pk}/").content.decode()
    page.post(url)
    assert not job.pins.exists()


def test_somebody_elses_job_has_no_marks(page: Client, other: User) -> None:
    job = factories.make_job(other)
    for part in ("tags", "note", "pinned"):
        assert page.post(f"/jobs/{job.pk}/{part}/", {"tags": "a"}).status_code == 404
        assert refuses_other_methods(page, f"/jobs/{job.pk}/{part}/", "post")
        assert asks_for_login(f"/jobs/{job.pk}/{part}/", "post")


def ticked(page: Client, action: str, *jobs: Job, **more: str) -> str:
    given = {"job": [job.pk for job in jobs], "action": action, **more}
    return page.post("/jobs/ticked/", given, follow=True).content.decode()


def test_ticked_jobs_are_tagged_and_pinned(page: Client, user: User, job: Job) -> None:
    more = factories.make_job(user)
    assert "2 of 2 tagged good, new." in ticked(page, "tag", job, more, tags="good new")
    assert "1 of 1 without good." in ticked(page, "untag", job, tags="good")
    assert (tags(job), tags(more)) == (["new"], ["good", "new"])
    assert "Write a tag" in ticked(page, "tag", job)
    assert "A tag is one word" in ticked(page, "tag", job, tags="a=b")
    assert "2 of 2 pinned" in ticked(page, "pin", job, more)
    assert "1 of 1 not pinned" in ticked(page, "unpin", job)
    assert user.pinned_jobs.count() == 1


def test_stopping_many_asks_once(page: Client, user: User, queue: None) -> None:
    waits = [factories.make_job(user, name=f"waits {n}", status="queued") for n in range(2)]
    done = factories.make_job(user, name="done", status="completed")
    asked = ticked(page, "stop", *waits, done)
    assert "Stop 2 jobs?" in " ".join(asked.split())
    assert re.search(r"Left as they are:\s+done \(completed\)", asked)
    given = {"job": [job.pk for job in (*waits, done)]}
    assert "2 of 3 asked to stop." in page.post("/jobs/stop/", given, follow=True).content.decode()
    assert [Job.objects.get(pk=job.pk).status for job in waits] == ["stopped"] * 2
    again = page.get(f"/jobs/stop/?job={done.pk}").content.decode()
    assert "There is nothing to stop" in again


def test_the_job_of_somebody_else_is_not_stopped(page: Client, other: User, queue: None) -> None:
    job = factories.make_job(other, status="queued")
    page.post("/jobs/stop/", {"job": [job.pk]})
    job.refresh_from_db()
    assert job.status == "queued"
    assert refuses_other_methods(page, "/jobs/stop/", "get", "post")
    assert asks_for_login("/jobs/stop/")


def test_no_more_than_twenty_tags(job: Job) -> None:
    marks.tag(job, map(str, range(20)))
    with pytest.raises(Exception, match="more than 20 tags"):
        marks.tag(job, ["one"])
    assert marks.tag(job, remove=["3"])


def said_of(job: Job) -> list[tuple[str, str, str]]:
    return list(job.events.values_list("kind", "who", "message"))


def test_who_changed_tags_and_notes_is_written_down(page: Client, user: User, job: Job) -> None:
    who = user.get_username()
    for _ in range(2):  # what changes nothing is no event
        page.post(f"/jobs/{job.pk}/tags/", {"tags": "good new"})
    ticked(page, "untag", job, tags="good")
    for text in ("the <seed>\nwas wrong", "the <seed>\nwas wrong", "x" * 4000, ""):
        page.post(f"/jobs/{job.pk}/note/", {"note": text})
    assert said_of(job)[:4] == [
        ("tagged", who, "from none to good new"),
        ("tagged", who, "from good new to new"),
        ("noted", who, "from none to “the <seed> was wrong”"),
        ("noted", who, f"from “the <seed> was wrong” to “{'x' * 120}…”"),
    ]
    newest = job.events.last()
    assert newest is not None
    assert newest.data == {"from": "x" * 4000, "to": ""}
    assert "Note changed" in page.get(f"/jobs/{job.pk}/events/").content.decode()
    call_command("tag", job.pk, add="more", user=who)
    call_command("note", job.pk, "by command")
    assert [row[:2] for row in said_of(job)[-2:]] == [("tagged", who), ("noted", "")]


def test_a_comparison_shows_what_happened_and_not_what_people_say(page: Client, job: Job) -> None:
    lifecycle.record(job, events.HELD)
    marks.tag(job, ["good"])
    text = page.get(f"/jobs/compare/?job={job.pk}").content.decode()
    assert "Held in the queue" in text
    assert "Tags changed" not in text
