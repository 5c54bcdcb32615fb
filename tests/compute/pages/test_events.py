"""What happened to a machine: written once a change, without a secret, and without a flood."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from compute.checks import checking
from compute.machines import history, host_keys, verbs
from compute.machines.errors import MachineError
from compute.machines.reachability import mark_reachable, mark_unreachable
from compute.models import Machine, MachineEvent
from compute.runners.base import HostKeyRefused, RunnerError, Unreachable
from compute.runners.ssh import setup
from compute.setup import settingup
from jobs import lifecycle
from jobs.models import Status
from tests import factories
from tests.compute.conftest import Shows
from tests.compute.pages.test_form import GOOD, NEW
from tests.pages import HTMX, asks_for_login, queries, refuses_other_methods

pytestmark = pytest.mark.usefixtures("queue")
SECRET = "correct-horse-staple"


@pytest.fixture
def box(db: None) -> Machine:
    return factories.make_ssh_machine(name="box", python="/venv/bin/python")


def told(machine: Machine) -> list[tuple[str, str, str]]:
    return list(machine.events.values_list("kind", "who", "message"))


def kinds(machine: Machine) -> list[str]:
    return [kind for kind, _, _ in told(machine)]


def url(machine: Machine) -> str:
    return f"/machines/{machine.pk}/events/"


def test_adding_and_changing_says_what_by_whom_and_no_secret(boss: Client) -> None:
    boss.post(NEW, GOOD | {"password": SECRET})
    machine = Machine.objects.get(name="gpu box")
    boss.post(f"/machines/{machine.pk}/edit/", GOOD | {"slots": "3", "password": SECRET + "2"})
    assert told(machine) == [
        ("added", "root", "At ada@gpu.example.org:2222."),
        ("changed", "root", "Slots from 2 to 3; password replaced."),
    ]
    assert SECRET not in str(list(machine.events.values()))


def test_a_change_of_nothing_is_no_event(box: Machine) -> None:
    verbs.change(box, {"slots": box.slots, "host": box.host}, {})
    assert kinds(box) == []


def test_another_address_is_to_be_confirmed_anew(box: Machine) -> None:
    verbs.change(box, {"host": "192.0.2.8"}, {"password": "x"}, who="root")
    assert told(box)[0][2] == (
        "Host from 192.0.2.7 to 192.0.2.8; password set. Its host key is to be confirmed anew."
    )


def test_a_key_that_is_confirmed_or_not(box: Machine, shows: Shows, staff: User) -> None:
    shows(**{"192_0_2_7": "BBBB"})
    with pytest.raises(MachineError):
        host_keys.confirm(box, "SHA256:CCCC", staff)
    host_keys.confirm(box, "SHA256:BBBB", staff)
    assert told(box) == [
        ("key not confirmed", "root",
         "192.0.2.7 shows SHA256:BBBB; SHA256:CCCC was to be confirmed."),
        ("key confirmed", "root",
         "192.0.2.7 shows ssh-ed25519 SHA256:BBBB in place of SHA256:confirmed."),
    ]  # fmt: skip


def test_a_check_counts_its_outcomes(box: Machine) -> None:
    Machine.objects.filter(pk=box.pk).update(host="127.0.0.1", port=1)
    box.refresh_from_db()
    checking.check(box, who="root")  # nothing listens there
    last = box.events.get(kind="checked")
    assert last.who == "root"
    assert last.message.startswith("0 passed, 1 failed (Reachable), ")


def test_a_set_up_is_asked_and_fails(box: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> str:
        raise RunnerError("The disk is full.")

    monkeypatch.setattr(setup, "set_up", refuse)
    verbs.change(box, {"python": ""}, {})
    settingup.work_off(settingup.ask(box, who="root"))
    assert told(box)[1:] == [
        ("set-up asked", "root", "With verl 0.9.1."),
        ("set-up failed", "", "The disk is full."),
    ]


def test_a_removed_machine_keeps_its_events(box: Machine, user: User) -> None:
    factories.make_job(user, machine=box, status=Status.COMPLETED)
    verbs.remove(box, who="root")
    assert told(box) == [("removed", "root", "Its secrets are forgotten.")]


def test_it_goes_and_comes_back(box: Machine) -> None:
    for words in ("It is off.", "It is off. So it has been.", "No route."):
        mark_unreachable(box, Unreachable(words))
    for _ in range(3):
        mark_reachable(box)
    assert [(kind, text[:17]) for kind, _, text in told(box)] == [
        ("unreachable", "It is off."),
        ("back", "It answers again."),
    ]


def test_another_key_is_said_once_while_it_is_away(box: Machine) -> None:
    for _ in range(3):
        mark_unreachable(box, Unreachable("It is off."))
        mark_unreachable(box, HostKeyRefused("Its key changed."))
    assert kinds(box) == ["unreachable", "key refused"]
    mark_reachable(box)
    mark_unreachable(box, HostKeyRefused("Its key changed."))
    assert kinds(box)[2:] == ["back", "key refused"]


@pytest.mark.backends
def test_a_machine_that_flaps_is_counted_and_not_listed(box: Machine) -> None:
    for _ in range(20):
        mark_unreachable(box, Unreachable("It is off."))
        mark_reachable(box)
    assert kinds(box) == ["unreachable", "back"] * history.OFTEN + ["unsteady"]
    last = box.events.last()
    assert last is not None
    assert last.message.startswith("It comes and goes: 34 further turns")
    assert last.data["last"] == "back"
    last.data["until"] = (timezone.now() - 2 * history.WITHIN).isoformat()
    last.save()
    box.events.update(at=timezone.now() - 2 * history.WITHIN)
    mark_unreachable(box, Unreachable("It is off."))
    assert kinds(box)[-1] == "unreachable"


@pytest.fixture
def some(box: Machine, user: User, other: User) -> Machine:
    history.record(box, "added", "At ada@192.0.2.7.", who="root")
    history.record(box, "changed", "Slots from 1 to 2.", who="eve")
    mine = factories.make_job(user, machine=box, name="my run", status=Status.STARTING)
    lifecycle.record(mine, "queued")
    lifecycle.move(mine, Status.RUNNING)
    mine.events.create(at=timezone.now(), kind="paused", source="run", position=0)
    lifecycle.move(mine, Status.COMPLETED, reason="All 3 steps.")
    theirs = factories.make_job(other, machine=box, name="<secret run>", status=Status.STARTING)
    lifecycle.move(theirs, Status.FAILED, reason="CUDA is away.")
    return box


def shown(client: Client, query: str, machine: Machine) -> list[str]:
    response = client.get(f"{url(machine)}?{query}")
    assert response.status_code == 200
    return [row["kind"] for row in response.context["rows"]]


@pytest.mark.backends
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["completed", "running", "changed", "added"]),
        ("sort=at", ["added", "changed", "running", "completed"]),
        ("sort=kind", ["added", "changed", "completed", "running"]),
        ("sort=-who", ["added", "changed", "completed", "running"]),
        ("sort=machine__secrets", ["completed", "running", "changed", "added"]),
        ("kind=added", ["added"]),
        ("kind=queued", []),
        ("kind=nonsense", []),
        ("source=machine", ["changed", "added"]),
        ("source=jobs", ["completed", "running"]),
        ("source=nonsense", ["completed", "running", "changed", "added"]),
        ("attempt=1", ["completed", "running"]),
        ("attempt=99999999999999999999", []),
        ("attempt=x", ["completed", "running", "changed", "added"]),
        ("q=slots", ["changed"]),
        ("q=EVE", ["changed"]),
        ("q=%00", ["completed", "running", "changed", "added"]),
        ("q=CUDA", []),
        ("page=x", ["completed", "running", "changed", "added"]),
    ],
)
def test_filter_and_sort(page: Client, some: Machine, query: str, expected: list[str]) -> None:
    assert shown(page, query, some) == expected


def test_a_job_is_named_to_those_who_may_see_it(page: Client, some: Machine, staff: User) -> None:
    content = page.get(url(some)).content.decode()
    assert "my run" in content
    assert "secret run" not in content
    assert "CUDA" not in content
    client = Client()
    client.force_login(staff)
    assert "&lt;secret run&gt;" in client.get(url(some)).content.decode()
    for form in ("csv", "json"):
        assert b"secret run" not in page.get(f"{url(some)}?format={form}").content


def test_htmx_is_given_the_table_and_nothing_while_it_is_shown(page: Client, some: Machine) -> None:
    response = page.get(url(some), headers=HTMX)
    assert b"<html" not in response.content
    assert b'id="events-table"' in response.content
    stamp = response.context["stamp"]
    again = f"{url(some)}?stamp={stamp}"
    assert page.get(again, headers=HTMX).status_code == 204
    assert page.get(again).status_code == 200
    history.record(some, "back")
    assert "Answers again" in page.get(again, headers=HTMX).content.decode()


def test_by_the_page(page: Client, box: Machine) -> None:
    rows = [MachineEvent(machine=box, at=timezone.now(), kind="back") for _ in range(51)]
    MachineEvent.objects.bulk_create(rows)
    assert len(shown(page, "", box)) == 50
    assert len(shown(page, "page=2", box)) == 1


@pytest.mark.backends
def test_whole_as_csv_and_json(page: Client, some: Machine) -> None:
    history.record(some, "changed", '=HYPERLINK("x")', who="eve")
    answer = page.get(f"{url(some)}?format=json&source=machine&sort=at")
    assert [row["kind"] for row in json.loads(answer.content)] == ["added", "changed", "changed"]
    assert answer.headers["Content-Disposition"].endswith(f'machine-{some.pk}-events.json"')
    lines = page.get(f"{url(some)}?format=csv&sort=at").content.decode().splitlines()
    assert lines[0] == "at,kind,who,message,source,job,name"
    assert lines[-1].endswith("""changed,eve,"'=HYPERLINK(""x"")",machine,,""")
    assert len(lines) == 1 + 5


def test_an_empty_page_says_what_will_come(page: Client, box: Machine) -> None:
    assert b"Nothing has happened yet" in page.get(url(box)).content
    assert b"No event matches" in page.get(f"{url(box)}?q=x").content


def test_who_may_look(page: Client, box: Machine) -> None:
    assert asks_for_login(url(box))
    assert refuses_other_methods(page, url(box), "get")
    assert page.get("/machines/999999/events/").status_code == 404
    assert url(box) in page.get(f"/machines/{box.pk}/").content.decode()


def test_the_same_queries_for_one_row_and_three(page: Client, box: Machine, user: User) -> None:
    page.get(url(box))
    counts = []
    for rows in (1, 2):
        for _ in range(rows):
            history.record(box, "back")
            job = factories.make_job(user, machine=box, status=Status.STARTING)
            lifecycle.move(job, Status.RUNNING)
        counts.append(queries(page, url(box)))
    assert counts[0] == counts[1]


def test_the_command_lists_all_oldest_first(some: Machine) -> None:
    out = StringIO()
    call_command("machine", "events", "box", "--json", stdout=out)
    rows = json.loads(out.getvalue())
    assert [row["kind"] for row in rows] == ["added", "changed", "running", "completed", "failed"]
    assert rows[-1]["name"] == "<secret run>"
    assert rows[-1]["message"] == "CUDA is away."
    out = StringIO()
    call_command("machine", "events", "box", stdout=out)
    assert "changed by eve  Slots from 1 to 2." in out.getvalue()


def test_the_length_of_an_absence_is_told(box: Machine) -> None:
    Machine.objects.filter(pk=box.pk).update(
        unreachable_since=timezone.now() - timedelta(seconds=90)
    )
    mark_reachable(box)
    assert told(box)[0][2] == "It answers again. It did not for 90 s."
