"""The page of the queue and its buttons."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from compute.models import Machine
from jobs.models import Job, Lease
from jobs.queue import claims
from tests import factories
from tests.pages import HTMX, asks_for_login, queries, refuses_other_methods

URL = "/queue/"
VERBS = ("move", "hold", "release", "priority")


@pytest.fixture
def box(db: None) -> Machine:
    return factories.make_machine(name="<box>", gpus=4)


def waits(owner: User, machine: Machine, **fields: Any) -> Job:
    given = {"status": "queued", "queued_at": timezone.now(), "gpus": 8, "machine": machine}
    return factories.make_job(owner, **given | fields)


def runs(owner: User, machine: Machine, *devices: int, **fields: Any) -> Job:
    job = factories.make_job(owner, machine=machine, status="running", gpus=len(devices), **fields)
    for device in devices:
        Lease.objects.create(job=job, machine=machine, device=device)
    return job


def line(machine: Machine) -> list[int]:
    return [job.pk for job in claims.line_of(machine)]


def test_devices_runs_and_the_line(page: Client, user: User, box: Machine) -> None:
    runs(user, box, 1, 2, name="the run")
    waits(user, box, name="the job", gpus=3)
    text = page.get(URL).content.decode()
    assert "&lt;box&gt;" in text
    assert "2 of 4 GPUs free" in re.sub(r"\s+", " ", text)
    assert text.count(">the run</a>") == 3  # at both of its devices, and among what runs
    assert "Waits for 3 GPUs; 2 are free." in text
    assert ">the job</a>" in text


def test_anothers_job_is_a_number_only(
    page: Client, client: Client, user: User, other: User, staff: User, box: Machine
) -> None:
    running, waiting = runs(other, box, 0, name="a secret"), waits(other, box, name="a secret")
    text = page.get(URL).content.decode()
    assert "a secret" not in text
    assert f"Job {running.pk}" in text
    assert f"Job {waiting.pk}" in text
    assert "mallory" in text
    assert "data-queue-row" not in text
    client.force_login(staff)
    assert client.get(URL).content.decode().count("a secret") > 2


def test_nothing_yet(page: Client) -> None:
    text = page.get(URL).content.decode()
    assert "Nothing runs and nothing waits" in text
    assert "No machine is known" in text


def test_htmx_gets_the_part_and_nothing_when_it_is_unchanged(
    page: Client, user: User, box: Machine
) -> None:
    job = waits(user, box)
    first = page.get(URL, headers=HTMX)
    assert first.content.lstrip().startswith(b'<div id="queue"')
    stamp = first.context["stamp"]
    assert page.get(f"{URL}?stamp={stamp}", headers=HTMX).status_code == 204
    Job.objects.filter(pk=job.pk).update(priority=-10)
    changed = page.get(f"{URL}?stamp={stamp}", headers=HTMX)
    assert changed.status_code == 200
    assert "stamp" not in changed.context["query"]


def test_one_machine_and_one_owner(page: Client, user: User, other: User, box: Machine) -> None:
    elsewhere = factories.make_machine(name="elsewhere")
    mine, theirs = waits(user, box), waits(other, box)
    waits(user, elsewhere, name="far away")
    text = page.get(f"{URL}?machine={box.pk}&owner=ada").content.decode()
    assert mine.name in text
    assert f"Job {theirs.pk}" not in text
    assert "far away" not in text


@pytest.mark.parametrize("query", ["machine=999", "machine=x", "owner=nobody", "page=x", "page=99"])
def test_a_filter_that_names_nothing_is_none(
    page: Client, user: User, box: Machine, query: str
) -> None:
    job = waits(user, box)
    response = page.get(f"{URL}?{query}")
    assert response.status_code == 200
    assert job.name in response.content.decode()


def test_a_long_line_comes_by_pages(page: Client, user: User, box: Machine) -> None:
    factories.make_machine()
    jobs = [waits(user, box) for _ in range(27)]
    text = page.get(URL).content.decode()
    assert f'href="/queue/?machine={box.pk}"' in text
    assert jobs[25].get_absolute_url() not in text
    second = page.get(f"{URL}?machine={box.pk}&page=2").content.decode()
    assert [job.get_absolute_url() in second for job in jobs[23:]] == [False, False, True, True]
    assert "\n  26\n" in re.sub(r" {4,}", "  ", second)


def test_takes_the_same_queries_for_one_row_and_three(
    page: Client, user: User, box: Machine
) -> None:
    counts = []
    for rows in (1, 2):
        for n in range(rows):
            runs(factories.make_user(), box, rows + n)
            waits(factories.make_user(), box, after=waits(user, box))
        counts.append(queries(page, URL))
    assert counts[0] == counts[1]


def act(client: Client, verb: str, job: Job, **data: Any) -> Any:
    return client.post(f"{URL}{job.pk}/{verb}/", data)


def test_each_button_works_without_htmx(page: Client, user: User, box: Machine) -> None:
    first, second, third = (waits(user, box) for _ in range(3))
    query = f"machine={box.pk}"
    response = act(page, "move", third, to="first", query=query)
    assert (response.status_code, response.headers["Location"]) == (302, f"/queue/?{query}")
    assert line(box) == [third.pk, first.pk, second.pk]
    act(page, "move", third, before=second.pk)
    act(page, "move", first, behind=second.pk)
    assert line(box) == [third.pk, second.pk, first.pk]
    act(page, "hold", third, why="later")
    third.refresh_from_db()
    assert (third.held_by, third.held_why) == ("ada", "later")
    act(page, "release", third)
    act(page, "priority", third, priority="low")
    third.refresh_from_db()
    assert (third.held_at, third.priority) == (None, -10)


def test_htmx_gets_the_part_that_was_shown(page: Client, user: User, box: Machine) -> None:
    elsewhere = factories.make_machine(name="elsewhere")
    job = waits(user, box)
    waits(user, elsewhere)
    response = page.post(f"{URL}{job.pk}/hold/", {"query": f"machine={box.pk}"}, headers=HTMX)
    text = response.content.decode()
    assert text.lstrip().startswith('<div id="queue"')
    assert 'id="toasts"' in text
    assert 'hx-swap-oob="true"' in text
    assert "Held by ada." in text
    assert "elsewhere" not in text


def test_what_may_not_be_is_said(page: Client, user: User, box: Machine) -> None:
    job = waits(user, box)
    response = page.post(f"{URL}{job.pk}/priority/", {"priority": "high"}, headers=HTMX)
    assert "High priority is for staff to give." in response.content.decode()
    Job.objects.filter(pk=job.pk).update(status="running")
    answer = page.post(f"{URL}{job.pk}/hold/", follow=True)
    assert f"Job {job.pk} is running: it is not waiting." in answer.content.decode()


@pytest.mark.parametrize(
    ("verb", "data"),
    [
        ("move", {}),
        ("move", {"to": "away"}),
        ("move", {"to": "up", "before": "1"}),
        ("move", {"before": "x"}),
        ("hold", {"why": "x" * 201}),
        ("hold", {"why": "two\nlines"}),
        ("priority", {"priority": "urgent"}),
        ("priority", {}),
    ],
)
def test_what_cannot_be_read_changes_nothing(
    page: Client, user: User, box: Machine, verb: str, data: dict[str, str]
) -> None:
    job = waits(user, box)
    for headers in ({}, HTMX):
        response = page.post(f"{URL}{job.pk}/{verb}/", data, headers=headers)
        assert response.status_code == 422
        assert 'data-toast="error"' in response.content.decode()
    assert job.events.count() == 0


@pytest.mark.parametrize("before", ["999999", str(2**70)])
def test_a_job_that_is_gone_is_said(page: Client, user: User, box: Machine, before: str) -> None:
    job = waits(user, box)
    response = page.post(f"{URL}{job.pk}/move/", {"before": before}, follow=True)
    assert response.status_code in (200, 422)
    assert 'data-toast="error"' in response.content.decode()


@pytest.mark.parametrize("verb", VERBS)
def test_anothers_job_is_not_there(page: Client, other: User, box: Machine, verb: str) -> None:
    job = waits(other, box)
    assert act(page, verb, job, to="first", priority="low").status_code == 404
    assert job.events.count() == 0


@pytest.mark.parametrize("verb", VERBS)
def test_wrong_method(page: Client, user: User, box: Machine, verb: str) -> None:
    job = waits(user, box)
    assert refuses_other_methods(page, f"{URL}{job.pk}/{verb}/", "post")


def test_anonymous_and_wrong_method(page: Client, user: User, box: Machine) -> None:
    assert refuses_other_methods(page, URL, "get")
    assert asks_for_login(URL)
    assert asks_for_login(f"{URL}{waits(user, box).pk}/hold/", "post")


def test_a_jobs_own_page_says_why_it_waits(page: Client, user: User, box: Machine) -> None:
    job = waits(user, box, gpus=3)
    running = runs(user, box, 0, 3)
    said = "Waits for 3 GPUs; 2 are free."
    assert said in page.get(job.get_absolute_url()).content.decode()
    assert said in page.get(f"{URL}{job.pk}/reason/", headers=HTMX).content.decode()
    assert "queue-reason" not in page.get(f"{URL}{running.pk}/reason/").content.decode()
    assert ">GPUs</dt>" in page.get(running.get_absolute_url()).content.decode()
