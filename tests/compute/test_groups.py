"""Machines joined: the page, the command, and what may no longer be done to a member."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from compute import rental
from compute.checks import together
from compute.machines import groups, verbs
from compute.machines.errors import MachineError
from compute.models import Machine
from tests import factories

pytestmark = pytest.mark.django_db
URL = "/machines/join/"


def ssh(name: str, **fields: Any) -> Machine:
    given = {"python": "/venv/bin/python", "workdir": "/shared"}
    return factories.make_ssh_machine(name=name, **given | fields)


@pytest.fixture
def two() -> list[Machine]:
    return [ssh("anna"), ssh("bert", host="192.0.2.8")]


@pytest.fixture
def pair(two: list[Machine]) -> Machine:
    return groups.join("both", [(two[0], ""), (two[1], "10.0.0.2")])


def test_the_page_joins(boss: Client, two: list[Machine], queue: None) -> None:
    assert boss.get(URL).status_code == 200
    answer = boss.post(URL, {"name": "both", "members": "bert=10.0.0.2\r\n\r\nanna\r\n"})
    group = Machine.objects.get(name="both")
    assert answer.headers["Location"] == group.get_absolute_url()
    found = [(each.machine.name, each.inner_address) for each in groups.members_of(group)]
    assert found == [("bert", "10.0.0.2"), ("anna", "192.0.2.7")]
    text = boss.get(group.get_absolute_url()).content.decode()
    assert "Its machines" in text
    assert "10.0.0.2" in text
    assert "SSH machines together" in boss.get("/machines/").content.decode()


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ("anna", "two machines or more"),
        ("anna\nanna", "two machines or more"),
        ("anna\nnobody", "There is no machine nobody."),
        ("anna\nbert=a b", "A host is a name"),
        ("anna\nelsewhere", "the same on all"),
        ("anna\nbare", "no training environment yet"),
        ("anna\nthis machine", "no SSH machine"),
        ("anna\nstranger", "whose host key is confirmed"),
    ],
)
def test_what_cannot_be_joined(boss: Client, two: list[Machine], members: str, says: str) -> None:
    ssh("elsewhere", workdir="/other")
    ssh("bare", python="")
    ssh("stranger", host_key="")
    factories.make_machine(name="this machine")
    answer = boss.post(URL, {"name": "both", "members": members})
    assert answer.status_code == 422
    assert says in answer.content.decode()
    assert not Machine.objects.filter(kind=Machine.Kind.GROUP).exists()


def test_joining_is_for_staff(page: Client, two: list[Machine]) -> None:
    assert page.get(URL).status_code == 403
    assert page.post(URL, {"name": "both", "members": "anna\nbert"}).status_code == 403


def test_the_command_joins(two: list[Machine], capsys: pytest.CaptureFixture[str]) -> None:
    call_command("machine", "add", "both", "--members", "anna,bert=10.0.0.2", "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["kind"], told["members"]) == ("group", ["anna", "bert"])
    with pytest.raises(CommandError, match="two machines or more"):
        call_command("machine", "add", "one", "--members", "anna")


def test_a_member_stays_as_long_as_its_group(pair: Machine, two: list[Machine]) -> None:
    with pytest.raises(MachineError, match="one of the machines of both"):
        verbs.remove(two[1])
    with pytest.raises(MachineError, match="the same on all machines of both"):
        verbs.change(two[0], {"workdir": "/elsewhere"}, {})
    factories.make_job(machine=pair, status="completed")
    assert verbs.remove(pair)  # it stays for the history of its jobs
    assert not verbs.remove(two[1])


def test_a_group_has_no_address_to_edit(boss: Client, pair: Machine) -> None:
    for name in ("edit", "key"):
        answer = boss.get(reverse(f"compute:{name}", args=[pair.pk]))
        assert answer.headers["Location"] == pair.get_absolute_url()


def test_it_is_as_reachable_as_its_machines(
    boss: Client, pair: Machine, two: list[Machine]
) -> None:
    assert (pair.state, pair.starts_nothing) == ("reachable", "")
    Machine.objects.filter(pk=two[1].pk).update(unreachable_since=timezone.now())
    pair = Machine.objects.get(pk=pair.pk)
    assert (pair.state, pair.starts_nothing) == ("unreachable", "bert is unreachable.")
    job = factories.make_job(machine=pair, status="running", started_at=timezone.now())
    text = boss.get(job.get_absolute_url()).content.decode()
    assert "bert, one of its machines, is unreachable since" in text
    assert "unreachable" in boss.get(pair.get_absolute_url()).content.decode().lower()


def test_a_check_tells_of_each(pair: Machine, two: list[Machine]) -> None:
    """Nothing answers at their addresses, which are of a block for examples."""
    faults = [{"name": "ray", "label": "Ray", "outcome": "fail"}]
    Machine.objects.filter(pk=two[0].pk).update(checks=faults, workdir="/shared")
    two[1].secrets.create(name="password", value="a word", set_at=timezone.now())
    Machine.objects.filter(pk=two[1].pk).update(
        unreachable_since=timezone.now(), unreachable_reason="Gone."
    )
    first, second, *_ = [together._member(each) for each in groups.members_of(pair)]
    assert (first.outcome, first.found, first.says) == ("fail", "1 fail", "Ray")
    assert (second.outcome, second.says) == ("fail", "Gone.")


def test_the_rental_of_a_group_is_the_one_that_ends_first(two: list[Machine], boss: Client) -> None:
    late, soon = (timezone.now() + timedelta(hours=hours) for hours in (9, 5))
    rental.set_end(two[0], late)
    pair = groups.join("both", [(two[0], ""), (two[1], "")])
    assert pair.rental_ends_at == two[0].rental_ends_at
    rental.set_end(two[1], soon)
    pair.refresh_from_db()
    assert pair.rental_ends_at == two[1].rental_ends_at
    for machine in two:
        rental.set_end(machine, None)
    pair.refresh_from_db()
    assert pair.rental_ends_at is None
    with pytest.raises(MachineError, match="set it on that machine"):
        rental.set_end(pair, soon)
    assert "Keep the end" not in boss.get(pair.get_absolute_url()).content.decode()
    answer = boss.post(f"/machines/{pair.pk}/rental/", {"rental_ends_at": f"{soon:%Y-%m-%dT%H:%M}"})
    assert answer.status_code == 404
