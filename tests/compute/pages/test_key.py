"""First contact and changed keys: a user compares, and only what was compared is trusted."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from compute.machines import host_keys
from compute.models import Machine
from compute.runners.ssh import hostkeys
from compute.runners.ssh.hostkeys import HostKey
from tests import factories, taskqueue
from tests.compute.conftest import Shows

pytestmark = pytest.mark.usefixtures("queue")


@pytest.fixture
def box(db: None) -> Machine:
    return factories.make_ssh_machine(name="box", host="box.test", host_key="", fingerprint="")


def url(machine: Machine) -> str:
    return f"/machines/{machine.pk}/key/"


def test_the_fingerprint_is_shown_with_the_command_to_compare(
    boss: Client, box: Machine, shows: Shows
) -> None:
    shows(box_test="AAAA")
    content = boss.get(url(box)).content.decode()
    assert "SHA256:AAAA" in content
    assert "ssh-ed25519" in content
    assert "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub" in content
    box.refresh_from_db()
    assert box.host_key == ""


@pytest.mark.django_db(transaction=True)
def test_what_was_shown_is_confirmed_and_then_checked(
    boss: Client, box: Machine, staff: User, shows: Shows
) -> None:
    shows(box_test="AAAA")
    response = boss.post(url(box), {"fingerprint": "SHA256:AAAA"})
    assert response.headers["Location"] == f"/machines/{box.pk}/"
    box.refresh_from_db()
    assert (box.host_key, box.fingerprint) == ("ssh-ed25519 AAAA", "SHA256:AAAA")
    assert box.confirmed_by == staff
    assert box.confirmed_at is not None
    assert taskqueue.take_all() == [("compute.tasks.check", (box.pk, "root"))]


@pytest.mark.parametrize("sent", ["SHA256:AAAA", "", "SHA256:BBB", "sha256:bbbb"])
def test_a_key_that_changed_in_between_is_refused(
    boss: Client, box: Machine, shows: Shows, sent: str
) -> None:
    shows(box_test="BBBB")
    response = boss.post(url(box), {"fingerprint": sent})
    assert response.status_code == 422
    assert "now shows SHA256:BBBB" in response.content.decode()
    box.refresh_from_db()
    assert (box.host_key, box.confirmed_at) == ("", None)


def test_a_changed_key_is_shown_beside_the_old_one(boss: Client, shows: Shows) -> None:
    box = factories.make_ssh_machine(host="box.test", fingerprint="SHA256:AAAA")
    shows(box_test="BBBB")
    content = boss.get(url(box)).content.decode()
    assert "SHA256:AAAA" in content
    assert "SHA256:BBBB" in content
    assert "This machine was reinstalled: replace the key" in content
    boss.post(url(box), {"fingerprint": "SHA256:BBBB"})
    box.refresh_from_db()
    assert box.fingerprint == "SHA256:BBBB"


def test_the_same_key_needs_nothing(boss: Client, shows: Shows) -> None:
    box = factories.make_ssh_machine(host="box.test", fingerprint="SHA256:AAAA")
    shows(box_test="AAAA")
    content = boss.get(url(box)).content.decode()
    assert "There is nothing to do" in content
    assert '<button type="submit" class="button primary">' not in content


def test_a_host_that_does_not_answer_is_told(boss: Client, box: Machine, shows: Shows) -> None:
    shows()
    response = boss.get(url(box))
    assert response.status_code == 200
    assert "box.test does not answer within 10 s." in response.content.decode()
    assert "ssh -p 22 ada@box.test" in response.content.decode()


def test_a_jump_host_is_confirmed_first(boss: Client, box: Machine, shows: Shows) -> None:
    Machine.objects.update(jump_host="gate.test")
    shows(box_test="AAAA", gate_test="GGGG")
    assert "Is this the jump host?" in boss.get(url(box)).content.decode()
    assert boss.post(url(box), {"fingerprint": "SHA256:AAAA"}).status_code == 422
    response = boss.post(url(box), {"fingerprint": "SHA256:GGGG"})
    assert response.headers["Location"] == url(box)
    assert "Is this the machine?" in boss.get(url(box)).content.decode()
    boss.post(url(box), {"fingerprint": "SHA256:AAAA"})
    box.refresh_from_db()
    assert (box.jump_fingerprint, box.fingerprint) == ("SHA256:GGGG", "SHA256:AAAA")


def test_a_jump_host_whose_key_changed_is_named(boss: Client, shows: Shows) -> None:
    box = factories.make_ssh_machine(
        host="box.test", jump_host="gate.test", jump_host_key="x", jump_fingerprint="SHA256:GGGG"
    )
    shows(gate_test="HHHH")  # and so the machine behind it cannot be asked
    found = host_keys.offered(box)
    assert (found.hop, found.known, found.is_changed) == ("jump", "SHA256:GGGG", True)


def test_the_command_to_compare_is_of_the_kind_of_key(
    box: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind, file in (("ssh-rsa", "rsa"), ("ecdsa-sha2-nistp256", "ecdsa")):
        key = HostKey(f"{kind} AAAA", "SHA256:AAAA")
        monkeypatch.setattr(hostkeys, "scan", lambda address, key=key: key)
        assert host_keys.offered(box).compare == f"ssh-keygen -lf /etc/ssh/ssh_host_{file}_key.pub"
