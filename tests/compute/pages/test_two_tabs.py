"""A form that was opened before a machine changed: it undoes nothing that it did not show."""

import re
from html import unescape

import pytest
from django.test import Client
from django.utils import timezone

from compute.machines import verbs
from compute.machines.local import local_machine
from compute.models import Machine, SetUp
from tests import factories

PYTHON = "/home/ada/trainyard/environments/verl-0.9/.venv/bin/python"
INPUT = re.compile(r"<(?:input|textarea)[^>]*>")


@pytest.fixture
def box(boss: Client) -> Machine:
    machine = factories.make_ssh_machine(name="box")
    verbs.change(machine, {}, {"password": "correct-horse"})
    machine.events.all().delete()
    return machine


def opened(client: Client, url: str) -> dict[str, str]:
    """What a browser would send from the page as it is now, nothing typed."""
    text = client.get(url).content.decode()
    sent = {}
    for tag in INPUT.findall(text):
        named = {key: unescape(value) for key, value in re.findall(r'([\w-]+)="([^"]*)"', tag)}
        if named.get("type") not in ("checkbox", "submit") and "name" in named:
            sent[named["name"]] = named.get("value", "")
    for name, body in re.findall(r'<select name="(\w+)".*?</select>()', text, re.DOTALL):
        sent[name] = body
    chosen = re.findall(r'<select name="(\w+)".*?<option value="([^"]*)" selected', text, re.DOTALL)
    sent.pop("csrfmiddlewaretoken")
    return sent | dict(chosen)


def edit(machine: Machine) -> str:
    return f"/machines/{machine.pk}/edit/"


def test_an_old_form_does_not_undo_a_set_up(boss: Client, box: Machine) -> None:
    sent = opened(boss, edit(box))
    assert sent["python"] == ""
    Machine.objects.filter(pk=box.pk).update(python=PYTHON, workdir="/home/ada/trainyard")
    assert boss.post(edit(box), sent | {"slots": "4"}).status_code == 302
    box.refresh_from_db()
    assert (box.python, box.workdir, box.slots) == (PYTHON, "/home/ada/trainyard", 4)
    assert [event.message for event in box.events.all()] == ["Slots from 1 to 4."]


def test_two_tabs_that_change_other_things_both_count(boss: Client, box: Machine) -> None:
    first, second = opened(boss, edit(box)), opened(boss, edit(box))
    boss.post(edit(box), first | {"name": "big box"})
    boss.post(edit(box), second | {"slots": "4"})
    box.refresh_from_db()
    assert (box.name, box.slots) == ("big box", 4)


def test_the_same_field_in_two_tabs_is_told_and_then_taken(boss: Client, box: Machine) -> None:
    first, second = opened(boss, edit(box)), opened(boss, edit(box))
    boss.post(edit(box), first | {"slots": "2"})
    response = boss.post(edit(box), second | {"slots": "4"})
    assert response.status_code == 422
    assert "Meanwhile it was changed to 2." in response.content.decode()
    box.refresh_from_db()
    assert box.slots == 2
    again = dict(response.context["form"].data.items())
    assert (again["slots"], again["initial-slots"]) == ("4", "2")
    assert 'name="initial-slots" value="2"' in response.content.decode()
    assert boss.post(edit(box), again).status_code == 302
    box.refresh_from_db()
    assert box.slots == 4


def test_both_tabs_the_same_value_is_no_conflict(boss: Client, box: Machine) -> None:
    first, second = opened(boss, edit(box)), opened(boss, edit(box))
    assert boss.post(edit(box), first | {"slots": "2"}).status_code == 302
    assert boss.post(edit(box), second | {"slots": "2"}).status_code == 302
    assert box.events.count() == 1


@pytest.mark.parametrize("name", ["slots", "rental_ends_at", "port"])
def test_what_a_page_never_shows_is_no_server_error(boss: Client, box: Machine, name: str) -> None:
    sent = opened(boss, edit(box)) | {f"initial-{name}": "rubbish", "slots": "3"}
    assert boss.post(edit(box), sent).status_code in (302, 422)


def test_the_local_machine_in_two_tabs(boss: Client) -> None:
    here = local_machine()
    first, second = opened(boss, edit(here)), opened(boss, edit(here))
    assert boss.post(edit(here), first | {"slots": "2"}).status_code == 302
    assert boss.post(edit(here), second | {"slots": "3"}).status_code == 422
    assert boss.post(edit(here), second).status_code == 302  # it changed nothing
    here.refresh_from_db()
    assert here.slots == 2


def test_an_old_admin_page_does_not_undo_a_set_up(boss: Client, box: Machine) -> None:
    url = f"/admin/compute/machine/{box.pk}/change/"
    sent = opened(boss, url)
    Machine.objects.filter(pk=box.pk).update(python=PYTHON)
    assert boss.post(url, sent | {"slots": "5"}).status_code == 302
    box.refresh_from_db()
    assert (box.python, box.slots) == (PYTHON, 5)
    assert box.events.get().who == "root"


def test_the_environment_is_not_changed_under_a_set_up(boss: Client, box: Machine) -> None:
    now = timezone.now()
    work = SetUp.objects.create(machine=box, state="working", asked_at=now, beat_at=now)
    sent = opened(boss, edit(box))
    response = boss.post(edit(box), sent | {"python": "/opt/verl/bin/python"})
    assert response.status_code == 422
    assert "A set-up is under way." in response.content.decode()
    assert boss.post(edit(box), sent | {"slots": "3"}).status_code == 302
    SetUp.objects.filter(pk=work.pk).update(state="done")
    assert boss.post(edit(box), sent | {"python": "/opt/verl/bin/python"}).status_code == 302


def test_a_row_written_meanwhile_by_others_stays(box: Machine) -> None:
    old = Machine.objects.get(pk=box.pk)
    Machine.objects.filter(pk=box.pk).update(python=PYTHON, seen_at=timezone.now())
    verbs.change(old, {"slots": 7}, {})
    box.refresh_from_db()
    assert (box.python, box.slots) == (PYTHON, 7)
    assert box.seen_at is not None
