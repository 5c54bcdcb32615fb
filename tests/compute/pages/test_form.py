"""Adding and changing machines: bad input is told at its field, and secrets come back nowhere."""

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from compute.machines.addresses import address_of
from compute.machines.local import local_machine
from compute.models import Machine, MachineSecret
from tests import factories
from tests.compute.conftest import Shows
from tests.pages import asks_for_login, queries, refuses_other_methods

NEW = "/machines/new/"
PASSWORD = "correct-horse-staple"
GOOD: dict[str, Any] = {
    "name": "gpu box",
    "host": "gpu.example.org",
    "port": "2222",
    "user": "ada",
    "password": PASSWORD,
    "workdir": "~/my runs",
    "verl": "0.9.1",
    "slots": "2",
    "jump_port": "22",
}


def private_key(passphrase: str = "") -> str:
    """A new key in OpenSSH's format."""
    lock = (
        serialization.BestAvailableEncryption(passphrase.encode())
        if passphrase
        else serialization.NoEncryption()
    )
    key = ed25519.Ed25519PrivateKey.generate()
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, lock
    ).decode()


def opened(machine: Machine) -> dict[str, str]:
    return {secret.name: secret.value.open() for secret in machine.secrets.all()}


def test_a_machine_is_added_and_its_key_asked_for(boss: Client) -> None:
    response = boss.post(NEW, GOOD)
    machine = Machine.objects.get(name="gpu box")
    assert response.status_code == 302
    assert response.headers["Location"] == f"/machines/{machine.pk}/key/"
    assert (machine.kind, machine.address) == ("ssh", "ada@gpu.example.org:2222")
    assert (machine.workdir, machine.slots, machine.host_key) == ("~/my runs", 2, "")
    assert opened(machine) == {"password": PASSWORD}


def test_a_key_is_kept_as_it_was_pasted(boss: Client) -> None:
    key = private_key("a phrase")
    boss.post(NEW, GOOD | {"password": "", "private_key": key, "passphrase": "a phrase"})
    address = address_of(Machine.objects.get(name="gpu box"))
    assert address.login.private_key.strip() == key.strip()
    assert address.login.passphrase == "a phrase"


def test_a_keys_file_is_read_once(boss: Client, home: Path) -> None:
    key = private_key()
    (home / "id_ed25519").write_text(key)
    boss.post(NEW, GOOD | {"key_path": f"{home}/id_ed25519"})
    assert opened(Machine.objects.get(name="gpu box"))["private_key"].strip() == key.strip()


def test_a_jump_host_has_its_own_secrets_or_the_machines(boss: Client) -> None:
    boss.post(NEW, GOOD | {"jump_host": "gate.example.org", "jump_port": "2200"})
    machine = Machine.objects.get()
    jump = address_of(machine).jump
    assert jump is not None
    assert (jump.host, jump.port, jump.login.user) == ("gate.example.org", 2200, "ada")
    assert jump.login.password == PASSWORD
    again = {"jump_host": "gate.example.org", "jump_port": "2200"}
    boss.post(
        f"/machines/{machine.pk}/edit/",
        GOOD | again | {"jump_user": "eve", "jump_password": "another"},
    )
    machine.refresh_from_db()
    jump = address_of(machine).jump
    assert jump is not None
    assert (jump.login.user, jump.login.password) == ("eve", "another")


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("name", "", "This field is required."),
        ("name", "two\nlines", "one line of printable characters"),
        ("name", "-rf", "does not begin with a dash"),
        ("name", "This Machine", "There is a machine of that name already."),
        ("name", "n" * 71, "at most 70 characters"),
        ("host", "", "This field is required."),
        ("host", "ada@gpu.example.org", "Write the user into its own field"),
        ("host", "ssh://gpu.example.org", "without ssh://"),
        ("host", "gpu.example.org:22", "Write the port into its own field"),
        ("host", "[::1]:22", "Write the port into its own field"),
        ("host", "a host", "A host is a name such as gpu.example.org"),
        ("host", "$(reboot)", "A host is a name such as gpu.example.org"),
        ("host", "-oProxyCommand=reboot", "A host is a name such as gpu.example.org"),
        ("port", "0", "greater than or equal to 1"),
        ("port", "65536", "less than or equal to 65535"),
        ("port", "ssh", "Enter a whole number."),
        ("user", "ada; reboot", "A user is a name such as ada"),
        ("user", "-l", "A user is a name such as ada"),
        ("password", "", "Give a private key or a password"),
        ("private_key", "rubbish", "This is no private key"),
        ("private_key", "ssh-ed25519 AAAA ada@home", "This is the public half of a key"),
        ("private_key", "PuTTY-User-Key-File-3: x", "Open it in PuTTYgen"),
        pytest.param(
            "private_key", private_key("locked"), "locked with a passphrase", id="a locked key"
        ),
        ("key_path", "/etc/passwd", "outside the folders"),
        ("key_path", "HOME", "it is no file"),
        ("key_path", "HOME/none", "cannot be read: No such file or directory."),
        ("workdir", "/", "must not be /"),
        ("workdir", "~/../..", "must not have a .. in it"),
        ("workdir", "runs", "must begin with / or ~/"),
        ("workdir", "~eve/runs", "home"),
        ("workdir", "/a\nb", "one line of printable characters"),
        ("python", "python3", "it begins with / or ~/"),
        ("python", "/a\nb", "it begins with / or ~/"),
        ("verl", "0.1", "Select a valid choice."),
        ("slots", "0", "greater than or equal to 1"),
        ("jump_host", "eve@gate", "Write the user into its own field"),
        ("jump_user", "a b", "A user is a name such as ada"),
        ("jump_private_key", "rubbish", "This is no private key"),
    ],
)
def test_bad_input_is_told_at_its_field_and_gives_no_secret_back(
    boss: Client, home: Path, field: str, value: str, says: str
) -> None:
    response = boss.post(NEW, GOOD | {field: value.replace("HOME", str(home))})
    assert response.status_code == 422
    form = response.context["form"]
    at = "private_key" if field == "password" else field
    if "locked" in says:
        at = "passphrase"
    assert says in " ".join(map(str, form.errors[at]))
    assert PASSWORD not in response.content.decode()
    assert not Machine.objects.filter(kind="ssh").exists()


def test_a_wrong_passphrase_is_told_at_the_passphrase(boss: Client) -> None:
    key = private_key("right")
    response = boss.post(NEW, GOOD | {"private_key": key, "passphrase": "wrong-one"})
    assert response.status_code == 422
    assert list(response.context["form"].errors) == ["passphrase"]
    assert "wrong-one" not in response.content.decode()
    assert key.splitlines()[1] not in response.content.decode()


def test_the_key_and_its_file_are_not_both_taken(boss: Client, home: Path) -> None:
    response = boss.post(NEW, GOOD | {"private_key": private_key(), "key_path": f"{home}/x"})
    assert "not both" in str(response.context["form"].errors["key_path"])


def edit(machine: Machine) -> str:
    return f"/machines/{machine.pk}/edit/"


@pytest.fixture
def box(boss: Client) -> Machine:
    boss.post(NEW, GOOD)
    machine = Machine.objects.get(name="gpu box")
    Machine.objects.update(host_key="ssh-ed25519 AAAA", fingerprint="SHA256:AAAA")
    return machine


def test_the_form_says_that_a_secret_is_set_and_not_which(boss: Client, box: Machine) -> None:
    content = boss.get(edit(box)).content.decode()
    assert "Set <time" in content
    assert PASSWORD not in content
    assert "fernet:" not in content
    assert 'value="~/my runs"' in content


def test_empty_secrets_stay(boss: Client, box: Machine) -> None:
    response = boss.post(edit(box), GOOD | {"password": "", "slots": "3"})
    assert response.headers["Location"] == f"/machines/{box.pk}/"
    box.refresh_from_db()
    assert (box.slots, box.fingerprint) == (3, "SHA256:AAAA")
    assert opened(box) == {"password": PASSWORD}


def test_a_secret_is_replaced_and_the_new_one_used_at_once(boss: Client, box: Machine) -> None:
    assert address_of(box).login.password == PASSWORD
    boss.post(edit(box), GOOD | {"password": "newer"})
    box.refresh_from_db()
    assert address_of(box).login.password == "newer"


@pytest.mark.parametrize(
    ("given", "is_checked"),
    [
        ({"password": "newer"}, True),
        ({"python": "/opt/python"}, True),
        ({"user": "eve", "password": "eve's"}, True),
        ({"slots": "3", "password": ""}, False),
        ({"name": "another", "password": ""}, False),
        ({"host": "other.example.org"}, False),  # its key is asked for first
    ],
)
def test_what_a_check_found_is_looked_at_anew(
    boss: Client, box: Machine, given: dict[str, str], is_checked: bool
) -> None:
    assert boss.post(edit(box), GOOD | given).status_code == 302
    box.refresh_from_db()
    assert box.is_being_checked is is_checked


def test_a_secret_is_removed(boss: Client, box: Machine) -> None:
    key = private_key()
    sent = GOOD | {"password": "", "private_key": key, "forget_password": "on"}
    assert boss.post(edit(box), sent).status_code == 302
    assert list(opened(box)) == ["private_key"]


def test_the_last_secret_is_not_removed(boss: Client, box: Machine) -> None:
    response = boss.post(edit(box), GOOD | {"password": "", "forget_password": "on"})
    assert response.status_code == 422
    assert opened(box) == {"password": PASSWORD}


@pytest.mark.parametrize(("field", "value"), [("host", "other.example.org"), ("port", "22")])
def test_another_address_is_confirmed_anew(
    boss: Client, box: Machine, field: str, value: str
) -> None:
    response = boss.post(edit(box), GOOD | {field: value})
    assert response.headers["Location"] == f"/machines/{box.pk}/key/"
    box.refresh_from_db()
    assert (box.host_key, box.fingerprint, box.state) == ("", "", "unconfirmed")


@pytest.mark.parametrize(
    "moved",
    [
        {"host": "other.example.org"},
        {"port": "22"},
        {"jump_host": "jump.example.org", "jump_user": "ada"},
    ],
)
def test_a_password_is_not_passed_on_to_another_host(
    boss: Client, box: Machine, moved: dict[str, str]
) -> None:
    response = boss.post(edit(box), GOOD | moved | {"password": ""})
    assert response.status_code == 422
    assert b"It was given for the address before: give it again." in response.content
    box.refresh_from_db()
    assert (box.fingerprint, box.jump_host) == ("SHA256:AAAA", "")


def test_the_work_folder_of_runs_stays(boss: Client, box: Machine, user: User) -> None:
    factories.make_job(user, machine=box)
    response = boss.post(edit(box), GOOD | {"workdir": "/elsewhere"})
    assert response.status_code == 422
    assert "Its jobs have their runs below ~/my runs" in str(
        response.context["form"].errors["workdir"]
    )


def test_of_this_machine_only_the_slots_change(boss: Client, settings: Settings) -> None:
    machine = local_machine()
    assert boss.post(edit(machine), {"slots": "4", "workdir": "/elsewhere"}).status_code == 302
    machine.refresh_from_db()
    assert (machine.slots, machine.workdir) == (4, str(settings.TRAINYARD_HOME))
    assert boss.post(edit(machine), {"slots": "0"}).status_code == 422


def test_only_staff_adds_and_changes(page: Client) -> None:
    machine = factories.make_ssh_machine()
    for url in (NEW, edit(machine), f"/machines/{machine.pk}/key/"):
        assert page.get(url).status_code == 403
        assert page.post(url, GOOD).status_code == 403
    assert MachineSecret.objects.count() == 0


def test_no_such_machine(boss: Client) -> None:
    for tail in ("", "edit/", "key/", "remove/"):
        assert boss.get(f"/machines/999/{tail}").status_code == 404


def test_anonymous(machine: Machine) -> None:
    for tail in ("new/", f"{machine.pk}/", f"{machine.pk}/edit/", f"{machine.pk}/key/"):
        assert asks_for_login(f"/machines/{tail}")


def test_wrong_method(boss: Client, shows: Shows) -> None:
    shows()
    machine = factories.make_ssh_machine()
    for tail in ("new/", f"{machine.pk}/edit/", f"{machine.pk}/key/", f"{machine.pk}/remove/"):
        assert refuses_other_methods(boss, f"/machines/{tail}", "get", "post")


def test_the_form_takes_the_same_queries_however_many_secrets(boss: Client, box: Machine) -> None:
    one = queries(boss, edit(box))
    boss.post(edit(box), GOOD | {"private_key": private_key(), "jump_password": "x"})
    assert box.secrets.count() == 3
    assert queries(boss, edit(box)) == one
