"""The end of a rented machine's rental: set in four places, never in the past, told once."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from compute import rental
from compute.machines.errors import MachineError
from compute.machines.local import local_machine
from compute.models import Machine, when
from tests import factories
from tests.pages import asks_for_login, refuses_other_methods

pytestmark = pytest.mark.django_db
FUTURE = datetime(2199, 11, 26, 18, 0, tzinfo=UTC)


@pytest.fixture
def box() -> Machine:
    return factories.make_ssh_machine(name="box", python="/venv/bin/python")


def ends(machine: Machine, **span: float) -> Machine:
    Machine.objects.filter(pk=machine.pk).update(rental_ends_at=timezone.now() + timedelta(**span))
    machine.refresh_from_db()
    return machine


def url(machine: Machine) -> str:
    return f"/machines/{machine.pk}/rental/"


@pytest.mark.parametrize(
    ("text", "utc_hour"),
    [("2199-11-26T18:00", 17), ("2199-11-26 18:00:59", 17), ("2199-11-26T18:00Z", 18),
     ("2199-11-26T18:00+05:00", 13)],
)  # fmt: skip
def test_a_time_is_the_sites_unless_it_names_a_zone(
    settings: Settings, text: str, utc_hour: int
) -> None:
    with timezone.override("Europe/Berlin"):
        found = rental.moment(text)
    assert found.astimezone(UTC).hour == utc_hour


@pytest.mark.parametrize("text", ["", "tomorrow", "2199-13-01T00:00", "18:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(MachineError, match="is no time: write it like 2026-11-26T18:00"):
        rental.moment(text)


@pytest.mark.parametrize(
    ("text", "minutes"), [("6h", 360), ("90m", 90), ("1d 12h", 2160), ("1.5h", 90), ("2h30m", 150)]
)
def test_a_span(text: str, minutes: int) -> None:
    left = rental.after(text) - timezone.now()
    assert timedelta(minutes=minutes - 1) < left <= timedelta(minutes=minutes)


@pytest.mark.parametrize("text", ["", "6", "h", "-6h", "6 weeks", "6h later", "9" * 30 + "d"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(MachineError):
        rental.after(text)


def test_it_is_kept_to_the_minute_and_told(box: Machine) -> None:
    rental.set_end(box, FUTURE + timedelta(seconds=59), who="root")
    assert box.rental_ends_at == FUTURE
    rental.set_end(box, FUTURE + timedelta(seconds=3), who="root")
    rental.set_end(box, None, who="eve")
    assert list(box.events.values_list("kind", "who", "message")) == [
        ("rental set", "root", "It ends at 2199-11-26 18:00 UTC."),
        ("rental set", "eve", "It has no end any more."),
    ]


def test_a_past_end_is_refused(box: Machine) -> None:
    with pytest.raises(MachineError, match="is past: a rental ends in the future"):
        rental.set_end(box, timezone.now() - timedelta(minutes=1))
    assert box.rental_ends_at is None


@pytest.mark.parametrize("text", ["9999-12-31T23:59-14:00", "0001-01-01T00:00+14:00"])
def test_an_end_outside_of_the_calendar_is_refused(box: Machine, text: str) -> None:
    with pytest.raises(MachineError, match="No rental ends in the year"):
        rental.set_end(box, rental.moment(text))
    with pytest.raises(MachineError, match="No rental ends in the year"):
        rental.set_end(box, rental.after("2900000d"))
    assert box.rental_ends_at is None


@pytest.mark.parametrize("where", ["rental", "edit"])
def test_an_end_that_is_outside_of_the_calendar_elsewhere_is_told_at_its_field(
    boss: Client, box: Machine, settings: Settings, where: str
) -> None:
    settings.TIME_ZONE = "America/New_York"
    response = boss.post(f"/machines/{box.pk}/{where}/", {"rental_ends_at": "9999-12-31 23:59"})
    assert response.status_code == 422
    assert "No rental ends in the year 9999: correct it." in response.content.decode()


def test_on_the_page(boss: Client, box: Machine) -> None:
    assert boss.post(url(box), {"rental_ends_at": "2199-11-26T18:00"}).status_code == 302
    box.refresh_from_db()
    assert box.rental_ends_at == FUTURE
    content = boss.get(f"/machines/{box.pk}/").content.decode()
    assert 'value="2199-11-26 18:00"' in content
    assert "ends <time" in content
    assert "rental ends <time" in boss.get("/machines/").content.decode()
    assert boss.post(url(box), {"none": "1"}).status_code == 302
    box.refresh_from_db()
    assert box.rental_ends_at is None


@pytest.mark.parametrize(
    ("text", "says"),
    [("2020-01-01T00:00", "is past"), ("soon", "such as 2026-11-30 18:00")],
)
@pytest.mark.parametrize("where", ["rental", "edit"])
def test_bad_input_is_told_at_its_field(
    boss: Client, box: Machine, text: str, says: str, where: str
) -> None:
    response = boss.post(f"/machines/{box.pk}/{where}/", {"rental_ends_at": text})
    assert response.status_code == 422
    assert says in response.content.decode()
    box.refresh_from_db()
    assert box.rental_ends_at is None


def test_who_may_set_it(page: Client, box: Machine) -> None:
    assert page.post(url(box), {"rental_ends_at": "2199-11-26T18:00"}).status_code == 403
    assert asks_for_login(url(box), "post")
    assert "Keep the end" not in page.get(f"/machines/{box.pk}/").content.decode()


def test_other_methods_and_machines_that_are_not_there(boss: Client) -> None:
    box = factories.make_ssh_machine()
    assert refuses_other_methods(boss, url(box), "post")
    assert boss.post("/machines/999999/rental/", {}).status_code == 404
    gone = factories.make_ssh_machine(is_retired=True)
    assert boss.post(url(gone), {}).status_code == 404


def test_two_tabs(boss: Client, box: Machine) -> None:
    rental.set_end(box, FUTURE)
    sent = {"initial-rental_ends_at": "", "rental_ends_at": "2199-12-01T00:00"}
    response = boss.post(url(box), sent)
    assert response.status_code == 422
    assert "Meanwhile it was changed to 2199-11-26 18:00." in response.content.decode()


def test_a_rental_that_is_over_does_not_stop_another_change(boss: Client, box: Machine) -> None:
    box.secrets.create(name="password", value="x", set_at=timezone.now())
    ends(box, minutes=-5)
    assert box.rental_ends_at is not None
    shown = timezone.localtime(box.rental_ends_at).strftime("%Y-%m-%dT%H:%M")
    sent: dict[str, Any] = {
        "name": "box", "host": box.host, "port": "22", "user": "ada", "verl": box.verl,
        "workdir": box.workdir, "python": box.python, "slots": "5", "rental_ends_at": shown,
    }  # fmt: skip
    assert boss.post(f"/machines/{box.pk}/edit/", sent).status_code == 302
    box.refresh_from_db()
    assert (box.slots, box.rental_is_over) == (5, True)


def test_in_the_admin(boss: Client, box: Machine) -> None:
    url = f"/admin/compute/machine/{box.pk}/change/"
    sent = {
        "name": "box", "user": "ada", "jump_user": "", "python": box.python, "verl": "0.9.1",
        "slots": "1", "gpus": "", "ray_address": "", "rental_ends_at_1": "18:00",
    }  # fmt: skip
    assert boss.post(url, sent | {"rental_ends_at_0": "2020-01-01"}).status_code == 200
    box.refresh_from_db()
    assert box.rental_ends_at is None
    assert boss.post(url, sent | {"rental_ends_at_0": "2199-11-26"}).status_code == 302
    box.refresh_from_db()
    assert box.rental_ends_at == FUTURE
    assert box.events.get().who == "root"


def command(*argv: str) -> Any:
    out = StringIO()
    call_command("machine", "rental", "box", *argv, "--json", stdout=out)
    return json.loads(out.getvalue())["rental_ends_at"]


def test_by_the_command(box: Machine, staff: object) -> None:
    assert command("--ends", "2199-11-26T18:00") == FUTURE.isoformat()
    assert command() == FUTURE.isoformat()
    out = StringIO()
    call_command("machine", "list", "--json", stdout=out)
    assert json.loads(out.getvalue())[0]["rental_ends_at"] == FUTURE.isoformat()
    out = StringIO()
    call_command("machine", "rental", "box", stdout=out)
    assert out.getvalue() == "The rental of box ends at 2199-11-26 18:00 UTC.\n"
    assert command("--none") is None
    soon = datetime.fromisoformat(command("--in", "6h"))
    assert timedelta(hours=5, minutes=58) < soon - timezone.now() <= timedelta(hours=6)
    assert {event.who for event in box.events.all()} == {"root"}
    for argv in (("--ends", "2020-01-01T00:00"), ("--ends", "soon"), ("--in", "6")):
        with pytest.raises(CommandError):
            command(*argv)
    assert command() == soon.isoformat()


def test_what_the_machine_starts(box: Machine) -> None:
    assert box.starts_nothing == ""
    assert ends(box, hours=1).starts_nothing == ""
    near = ends(box, minutes=4)
    assert near.starts_nothing == (
        f"The rental of box ends at {when(near.rental_ends_at)}: too soon for a run to save a "
        "checkpoint."
    )
    over = ends(box, seconds=-1)
    assert over.starts_nothing == f"The rental of box ended at {when(over.rental_ends_at)}."


def test_a_machine_that_was_taken_away_says_so(page: Client, box: Machine) -> None:
    Machine.objects.filter(pk=box.pk).update(
        unreachable_since=timezone.now(), unreachable_reason="No route."
    )
    ends(box, minutes=-1)
    at = when(box.rental_ends_at)
    assert box.why_unreachable == f"Its rental ended at {at}. No route."
    assert box.starts_nothing == f"box is unreachable: its rental ended at {at}."
    assert (
        f"Its rental ended at {at}. No route." in page.get(f"/machines/{box.pk}/").content.decode()
    )
    assert ends(box, hours=1).why_unreachable == "No route."


@pytest.mark.backends
def test_its_nearness_and_its_end_are_told_once_for_each_end(box: Machine) -> None:
    assert rental.tell(box) == ""
    assert rental.tell(ends(box, hours=2)) == ""
    for _ in range(2):
        assert rental.tell(ends(box, hours=2)) == ""
    near = ends(box, minutes=30)
    for _ in range(3):
        rental.tell(near)
    over = ends(box, seconds=-1)
    for _ in range(3):
        rental.tell(over)
    rental.tell(ends(box, minutes=50))  # it was extended
    assert [event.kind for event in box.events.all()] == [
        "rental near",
        "rental over",
        "rental near",
    ]


@pytest.mark.parametrize("ends", [None, FUTURE])
def test_facts_and_checks_stand_before_the_end_of_the_rental(
    boss: Client, box: Machine, ends: datetime | None
) -> None:
    Machine.objects.filter(pk=box.pk).update(rental_ends_at=ends)
    content = boss.get(box.get_absolute_url()).content.decode()
    form = content.index('name="rental_ends_at"')
    assert content.index('id="facts-title"') < content.index('id="checks-title"') < form
    folded = content[content.rindex("<details", 0, form) : form]
    assert "open" not in folded.split(">")[0]
    assert ("<dt>Rental</dt>" in content) == (ends is not None)
    if ends:
        assert 'value="2199-11-26 18:00"' in content


@pytest.mark.parametrize("where", ["new", "edit", "ray", "local"])
def test_a_form_asks_for_the_end_of_a_rental_only_when_asked_to(
    boss: Client, box: Machine, where: str
) -> None:
    urls = {
        "new": "/machines/new/",
        "ray": "/machines/ray/",
        "edit": f"/machines/{box.pk}/edit/",
        "local": f"/machines/{local_machine().pk}/edit/",
    }
    content = boss.get(urls[where]).content.decode()
    field = content.index('name="rental_ends_at"')
    begin = content.rindex("<details", 0, field)
    assert "</details>" not in content[begin:field]
    assert " open" not in content[begin:].split(">")[0]
    wrong = boss.post(urls[where], {"rental_ends_at": "tomorrow"}).content.decode()
    begin = wrong.rindex("<details", 0, wrong.index('name="rental_ends_at"'))
    assert " open" in wrong[begin:].split(">")[0]
    assert "such as 2026-11-30 18:00" in wrong
