"""What opens a machine is found nowhere: no page, log, dump, repr or table holds it."""

import io
import json
import logging
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from compute.checks import checking
from compute.machines.addresses import address_of
from compute.machines.load import record_sample
from compute.machines.runners import runner_for
from compute.models import Machine, MachineSecret, SetUp
from compute.pages.forms import MachineForm
from jobs.models import Event
from tests import factories, taskqueue
from tests.compute.conftest import Shows
from tests.compute.pages.test_form import GOOD, private_key

pytestmark = pytest.mark.usefixtures("queue")
PASSWORD, PHRASE, JUMP = "pass-1f3870be274f", "phrase-2c624232cc5d", "jump-19581e27de7c"


@pytest.fixture
def key() -> str:
    return private_key(PHRASE)


@pytest.fixture
def box(boss: Client, key: str) -> Machine:
    secrets = {"password": PASSWORD, "private_key": key, "passphrase": PHRASE}
    sent = GOOD | secrets | {"host": "127.0.0.1", "port": "1", "jump_host": "gate.test"}
    boss.post("/machines/new/", sent | {"jump_password": JUMP})
    Machine.objects.filter(name="gpu box").update(
        host_key="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA", jump_host="", fingerprint="SHA256:x"
    )
    return Machine.objects.get(name="gpu box")


def hidden(text: str, key: str) -> bool:
    lines = key.strip().splitlines()[1:-1]
    return not any(secret in text for secret in (PASSWORD, PHRASE, JUMP, *lines))


def test_all_of_them_are_kept(box: Machine, key: str) -> None:
    found = {secret.name: secret.value.open().strip() for secret in box.secrets.all()}
    assert found == {
        "password": PASSWORD, "private_key": key.strip(), "passphrase": PHRASE,
        "jump_password": JUMP,
    }  # fmt: skip


def test_no_page_shows_them(boss: Client, box: Machine, key: str, user: User, shows: Shows) -> None:
    shows()
    job = factories.make_job(user, machine=box)
    now = timezone.now()
    SetUp.objects.create(machine=box, asked_at=now, beat_at=now)
    secret = box.secrets.get(name="password")
    urls = [
        "/machines/", "/", "/jobs/", f"/jobs/{job.pk}/", "/jobs/new/sft/",
        *(f"/machines/{box.pk}/{tail}" for tail in ("", "edit/", "key/", "remove/")),
        "/admin/compute/machine/", f"/admin/compute/machine/{box.pk}/change/",
        "/admin/compute/machinesecret/", f"/admin/compute/machinesecret/{secret.pk}/change/",
        f"/admin/compute/machinesecret/{secret.pk}/history/", "/admin/compute/setup/",
    ]  # fmt: skip
    for url in urls:
        response = boss.get(url)
        assert response.status_code == 200, url
        content = response.content.decode()
        assert hidden(content, key), url
        assert "gAAAA" not in content, url


def test_a_form_that_is_refused_does_not_give_them_back(
    boss: Client, box: Machine, key: str
) -> None:
    sent = GOOD | {"password": PASSWORD, "private_key": key, "passphrase": PHRASE, "slots": "0"}
    for url in ("/machines/new/", f"/machines/{box.pk}/edit/"):
        response = boss.post(url, sent | {"jump_password": JUMP})
        assert response.status_code == 422
        assert hidden(response.content.decode(), key)


def test_neither_logs_nor_errors_nor_events_nor_checks_hold_them(
    box: Machine, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    report = checking.check(box)  # nothing listens at its port
    box.refresh_from_db()
    assert [line.name for line in report.failed] == ["reach"]
    assert box.unreachable_reason
    assert record_sample(box) is None
    kept = json.dumps([box.checks, box.facts, box.unreachable_reason])
    assert hidden(kept, key)
    assert hidden(caplog.text, key)
    assert hidden(str(list(Event.objects.values())), key)


def test_reprs_and_words_do_not_hold_them(box: Machine, key: str) -> None:
    address = address_of(box)
    assert address.login.password == PASSWORD
    shown = [repr(address), str(address), repr(box), repr(runner_for(box))]
    for secret in box.secrets.all():
        shown += [repr(secret), str(secret), repr(secret.value), str(secret.value)]
    form = MachineForm({"password": PASSWORD}, machine=box)
    shown += [str(form), repr(form)]
    assert hidden(" ".join(shown), key)


def test_commands_and_dumps_do_not_hold_them(box: Machine, key: str) -> None:
    out = io.StringIO()
    for argv in (
        ("list",),
        ("list", "--json"),
        ("show", "gpu box"),
        ("show", "gpu box", "--json"),
    ):
        call_command("machine", *argv, stdout=out)
    call_command("dumpdata", stdout=out)
    assert '"compute.machinesecret"' in out.getvalue()
    assert "private_key" in out.getvalue()
    assert hidden(out.getvalue(), key)


def test_the_database_and_the_queue_hold_cipher_text_only(box: Machine, key: str) -> None:
    checking.ask_check(box)
    with connection.cursor() as cursor:
        cursor.execute("SELECT value FROM compute_machinesecret")
        values = [row[0] for row in cursor.fetchall()]
        assert len(values) == 4
        assert all(value.startswith("fernet:") for value in values)
        for table in connection.introspection.table_names():
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608
            assert hidden(str(cursor.fetchall()), key), table
    assert hidden(str(taskqueue.take_all()), key)


def test_no_file_of_the_home_holds_them(box: Machine, key: str, home: Path) -> None:
    for path in home.rglob("*"):
        if path.is_file():
            assert hidden(path.read_bytes().decode("latin-1"), key), path


def test_rotation_covers_them(box: Machine) -> None:
    before = dict(MachineSecret.objects.values_list("name", "value"))
    out = io.StringIO()
    call_command("rotate_secrets", "--forget", "--json", stdout=out)
    assert json.loads(out.getvalue())["secrets"] == 4
    after = {secret.name: secret for secret in MachineSecret.objects.all()}
    assert all(after[name].value.token != sealed.token for name, sealed in before.items())
    assert after["password"].value.open() == PASSWORD
