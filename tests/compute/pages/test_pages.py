from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from compute.machines.local import local_machine
from compute.models import Machine, MachineSample, SetUp
from compute.setup import settingup
from jobs.models import Status
from tests import factories, taskqueue
from tests.pages import HTMX, asks_for_login, queries, refuses_other_methods

pytestmark = pytest.mark.usefixtures("queue")
URL = "/machines/"
LOAD = {
    "cpu_percent": 42.0, "memory_used": 2**30, "memory_total": 2**31, "disk_used": 1,
    "disk_total": 2, "gpus": [{"index": 0, "name": "H100", "util_percent": 7}],
}  # fmt: skip
CHECKS = [
    {"name": "disk", "label": "Disk space", "outcome": "fail", "found": "1 GiB free",
     "says": "Too little.", "fix": "du -xh <here>"},
    {"name": "ray", "label": "Ray", "outcome": "unknown", "found": "", "says": "Not known: no "
     "answer for 60 s.", "fix": ""},
    {"name": "verl", "label": "verl", "outcome": "pass", "found": "0.9.1", "says": "", "fix": ""},
]  # fmt: skip


def measured(machine: Machine, seconds_ago: int = 0) -> None:
    at = timezone.now() - timedelta(seconds=seconds_ago)
    MachineSample.objects.create(machine=machine, at=at, data=LOAD)


def names(content: bytes) -> list[str]:
    found = {name: content.find(f">{name}</a>".encode()) for name in ("one", "two", "three")}
    return sorted((name for name, at in found.items() if at >= 0), key=lambda name: found[name])


@pytest.fixture
def three(user: User) -> None:
    one = factories.make_ssh_machine(name="one", slots=1)
    factories.make_ssh_machine(name="two", host_key="", slots=3)
    factories.make_ssh_machine(name="three", unreachable_since=timezone.now(), slots=2)
    factories.make_job(user, machine=one)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["one", "three", "two"]),
        ("state=reachable", ["one"]),
        ("state=unconfirmed", ["two"]),
        ("state=unreachable", ["three"]),
        ("state=removed", []),
        ("state=nonsense", ["one", "three", "two"]),
        ("q=TWO", ["two"]),
        ("q=%00", ["one", "three", "two"]),
        ("sort=slots", ["one", "three", "two"]),
        ("sort=-runs", ["one", "three", "two"]),
        ("sort=-slots", ["two", "three", "one"]),
        ("sort=secrets__value", ["one", "three", "two"]),
        ("page=x", ["one", "three", "two"]),
    ],
)
def test_filter_and_sort(page: Client, three: None, query: str, expected: list[str]) -> None:
    response = page.get(f"{URL}?{query}")
    assert response.status_code == 200
    assert names(response.content) == expected


def test_htmx_is_given_the_table_alone(page: Client, three: None) -> None:
    response = page.get(URL, headers=HTMX)
    assert b"<html" not in response.content
    assert names(response.content) == ["one", "three", "two"]


def test_the_list_is_shown_by_the_page(page: Client) -> None:
    for _ in range(51):
        factories.make_ssh_machine()
    assert page.get(URL).content.count(b'class="name"') == 50
    assert page.get(f"{URL}?page=2").content.count(b'class="name"') == 1


def test_the_list_takes_the_same_queries_for_one_row_and_three(page: Client, user: User) -> None:
    page.get(URL)
    counts = []
    for rows in (1, 2):
        for _ in range(rows):
            machine = factories.make_ssh_machine()
            measured(machine)
            factories.make_job(user, machine=machine)
        counts.append(queries(page, URL))
    assert counts[0] == counts[1]


def test_the_list_shows_address_state_gpus_and_runs(page: Client, three: None) -> None:
    measured(Machine.objects.get(name="one"))
    content = page.get(URL).content.decode()
    for words in (
        "ada@192.0.2.7",
        "1 \N{MULTIPLICATION SIGN} H100",
        "CPU 42 %",
        "Host key not confirmed",
        "never seen.",
    ):
        assert words in content


def test_the_list_shows_the_gpus_of_the_last_check_before_the_load_is_measured(
    page: Client,
) -> None:
    gpus = {"gpus": [{"index": 0, "name": "A100"}], "cards": 1}
    factories.make_ssh_machine(facts={"parts": {"gpus": {"data": gpus}}})
    assert "1 \N{MULTIPLICATION SIGN} A100" in page.get(URL).content.decode()


@pytest.fixture
def box(db: None) -> Machine:
    return factories.make_ssh_machine(
        name="<box>", seen_at=timezone.now(), checks=CHECKS, checked_at=timezone.now()
    )


def show(page: Client, machine: Machine, **options: Any) -> str:
    response = page.get(f"{URL}{machine.pk}/", **options)
    assert response.status_code == 200
    return response.content.decode()


def test_everybody_sees_a_machine_and_only_staff_may_act(
    page: Client, boss: Client, box: Machine, user: User
) -> None:
    page = Client()
    page.force_login(user)
    for client, acts in ((page, False), (boss, True)):
        content = show(client, box)
        assert "&lt;box&gt;" in content
        assert ("Check now" in content, "Set up</button>" in " ".join(content.split())) in (
            (acts, acts),
            (acts, False),
        )
        assert (f"/machines/{box.pk}/remove/" in content) is acts


def test_checks_are_listed_with_their_fix_to_copy(page: Client, box: Machine) -> None:
    content = show(page, box)
    assert '<li data-outcome="fail">' in content
    assert '<code id="fix-disk">du -xh &lt;here&gt;</code>' in content
    assert 'data-copy="fix-disk"' in content
    assert "1 failed," in content
    assert "1 unknown," in content
    unknown = content[content.index('<li data-outcome="unknown">') :].split("</li>")[0]
    assert "Pass" not in unknown
    assert "Unknown" in unknown


def test_an_unreachable_machine_says_since_when_and_shows_what_was_known(
    page: Client, box: Machine
) -> None:
    measured(box, seconds_ago=300)
    since = timezone.now() - timedelta(minutes=5)
    checked = since - timedelta(hours=1)
    Machine.objects.update(
        unreachable_since=since, unreachable_reason="It is <off>.", checked_at=checked
    )
    content = show(page, box)
    assert "Unreachable since <time" in content
    assert "Last seen <time" in content
    assert "It is &lt;off&gt;." in content
    assert "old: measured <time" in content
    assert "old: checked <time" in content
    assert "42 %" in content


def test_a_part_of_the_page_is_polled_while_it_is_checked(page: Client, box: Machine) -> None:
    assert "every 2s" not in show(page, box)
    Machine.objects.update(check_asked_at=timezone.now())
    content = show(page, box, headers=HTMX)
    assert 'hx-trigger="every 2s"' in content
    assert "<html" not in content
    long_ago = timezone.now() - timedelta(hours=1)
    Machine.objects.update(check_asked_at=long_ago, checked_at=long_ago - timedelta(hours=1))
    assert "every 2s" not in show(page, box)


def test_the_progress_of_a_set_up_is_shown(page: Client, box: Machine) -> None:
    now = timezone.now()
    work = SetUp.objects.create(
        machine=box, state="working", step="Installing verl", log="Collecting <torch>\n",
        asked_at=now, beat_at=now,
    )  # fmt: skip
    content = show(page, box)
    assert "Installing verl" in content
    assert "Collecting &lt;torch&gt;" in content
    assert "every 2s" in content
    SetUp.objects.update(beat_at=now - timedelta(hours=1))
    assert "gives no sign of life" in show(page, box)
    SetUp.objects.update(state="failed", error="The disk is full.", ended_at=now)
    assert "The disk is full." in show(page, box)
    assert str(work) == "Set-up of <box>"


def test_only_ones_own_jobs_are_listed(page: Client, box: Machine, user: User, other: User) -> None:
    factories.make_job(user, machine=box, name="mine")
    factories.make_job(other, machine=box, name="theirs")
    content = show(page, box)
    assert ">mine</a>" in content
    assert "theirs" not in content


def test_the_page_takes_the_same_queries_for_one_job_and_three(
    page: Client, box: Machine, user: User
) -> None:
    factories.make_job(user, machine=box)
    one = queries(page, f"{URL}{box.pk}/")
    factories.make_job(user, machine=box)
    factories.make_job(user, machine=box)
    assert queries(page, f"{URL}{box.pk}/") == one


@pytest.mark.django_db(transaction=True)
def test_check_and_set_up_are_asked_of_the_workers(boss: Client, box: Machine) -> None:
    asked = (
        ("check", "compute.tasks.check", lambda: (box.pk, "root")),
        (
            "setup",
            "platform_site.work.tasks.start",
            lambda: ("compute.setup", SetUp.objects.get().pk),
        ),
    )
    for tail, task, args in asked:
        response = boss.post(f"{URL}{box.pk}/{tail}/")
        assert response.headers["Location"] == f"{URL}{box.pk}/"
        assert taskqueue.take_all() == [(task, args())]
        boss.post(f"{URL}{box.pk}/{tail}/")
        assert taskqueue.take_all() == [], "it is under way"


def test_a_machine_that_is_not_confirmed_is_neither_checked_nor_set_up(boss: Client) -> None:
    machine = factories.make_ssh_machine(host_key="")
    for tail in ("check", "setup"):
        response = boss.post(f"{URL}{machine.pk}/{tail}/", follow=True)
        assert b"Confirm the machine&#x27;s host key first." in response.content
    assert taskqueue.take_all() == []


def test_why_a_set_up_is_refused(box: Machine, user: User) -> None:
    assert settingup.why_not(box) is None
    assert "make install" in str(settingup.why_not(local_machine()))
    job = factories.make_job(user, machine=box, status="running")
    assert "Jobs run there" in str(settingup.why_not(box))
    job.delete()
    box.python = "/opt/mine/bin/python"
    assert "which is yours" in str(settingup.why_not(box))
    box.python = "/home/ada/trainyard/environments/verl-0.9/.venv/bin/python"
    assert settingup.why_not(box) is None


def remove(boss: Client, machine: Machine) -> str:
    return boss.post(f"{URL}{machine.pk}/remove/", follow=True).content.decode()


def test_a_machine_without_jobs_is_gone(boss: Client, box: Machine) -> None:
    assert "Remove &lt;box&gt;?" in boss.get(f"{URL}{box.pk}/remove/").content.decode()
    assert "is removed, with its secrets." in remove(boss, box)
    assert not Machine.objects.filter(pk=box.pk).exists()


def test_a_machine_with_ended_jobs_stays_for_their_history(
    boss: Client, box: Machine, user: User
) -> None:
    job = factories.make_job(user, machine=box, status=Status.COMPLETED)
    box.secrets.create(name="password", value="x", set_at=timezone.now())
    assert "Its jobs keep their history." in remove(boss, box)
    box.refresh_from_db()
    assert (box.is_retired, box.state, box.secrets.count()) == (True, "removed", 0)
    assert box.name == f"<box> (removed, {box.pk})"
    assert box not in Machine.objects.ready()
    assert boss.get(f"/jobs/{job.pk}/").status_code == 200
    assert "This machine was removed" in show(boss, box)
    assert names(boss.get(f"{URL}?state=removed").content) == []
    assert boss.post(f"{URL}{box.pk}/check/").status_code == 404


@pytest.mark.parametrize("status", [Status.RUNNING, Status.STARTING, Status.QUEUED])
def test_a_machine_whose_jobs_run_is_not_removed(
    boss: Client, box: Machine, user: User, status: str
) -> None:
    job = factories.make_job(user, machine=box, status=status, name="the one")
    assert f"Jobs still run or wait there: {job.pk} (the one)." in remove(boss, box)
    assert Machine.objects.filter(pk=box.pk, is_retired=False).exists()


def test_this_machine_is_always_there(boss: Client) -> None:
    assert "It is always there." in remove(boss, local_machine())


def test_a_machine_that_was_not_confirmed_or_set_up_is_no_choice_of_a_job(
    page: Client, three: None
) -> None:
    assert {machine.name for machine in Machine.objects.ready()} == {"one", "three"}
    Machine.objects.filter(name__in=("one", "two")).update(python="/opt/verl/bin/python")
    content = page.get("/jobs/new/sft/").content.decode()
    assert ">one</option>" in content
    assert ">two</option>" not in content
    assert ">three</option>" not in content, "it has no environment yet"


def test_only_staff_acts(page: Client, box: Machine) -> None:
    for tail in ("check", "setup", "remove"):
        assert page.post(f"{URL}{box.pk}/{tail}/").status_code == 403
    assert Machine.objects.filter(pk=box.pk).exists()
    assert taskqueue.take_all() == []


def test_anonymous(box: Machine) -> None:
    for tail in ("check", "setup", "remove"):
        assert asks_for_login(f"{URL}{box.pk}/{tail}/", "post")


def test_wrong_method(boss: Client, box: Machine) -> None:
    assert refuses_other_methods(boss, f"{URL}{box.pk}/", "get")
    for tail in ("check", "setup"):
        assert refuses_other_methods(boss, f"{URL}{box.pk}/{tail}/", "post")
