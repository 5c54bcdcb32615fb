"""The host key of a machine: what it shows now, and what a user confirmed."""

from dataclasses import dataclass
from typing import Any, Literal

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from compute import events
from compute.machines import history
from compute.machines.addresses import address_of
from compute.machines.errors import MachineError
from compute.models import Machine
from compute.runners.base import RunnerError
from compute.runners.ssh import hostkeys
from compute.runners.ssh.hostkeys import HostKey

FILES = {"ssh-ed25519": "ed25519", "ssh-rsa": "rsa"}


@dataclass(frozen=True)
class Offered:
    """The key that a host shows now, and the fingerprint that was confirmed before, if any."""

    hop: Literal["machine", "jump"]
    host: str
    key: HostKey
    known: str

    @property
    def kind(self) -> str:
        return self.key.text.split()[0]

    @property
    def is_changed(self) -> bool:
        return bool(self.known) and self.known != self.key.fingerprint

    @property
    def compare(self) -> str:
        """The command that prints the same fingerprint on the host itself."""
        file = FILES.get(self.kind, "ecdsa")
        return f"ssh-keygen -lf /etc/ssh/ssh_host_{file}_key.pub"


def offered(machine: Machine) -> Offered:
    """Ask the machine for its key, or its jump host while that one's key is not confirmed.

    Raises ``RunnerError`` when there is no answer.
    """
    address = address_of(machine)
    if address.jump and not machine.jump_host_key:
        return Offered("jump", machine.jump_host, hostkeys.scan(address.jump), "")
    try:
        key = hostkeys.scan(address)
    except RunnerError:
        if address.jump is None:
            raise
        jump = Offered(
            "jump", machine.jump_host, hostkeys.scan(address.jump), machine.jump_fingerprint
        )
        if not jump.is_changed:
            raise
        return jump
    return Offered("machine", machine.host, key, machine.fingerprint)


def confirm(machine: Machine, fingerprint: str, who: User | None) -> Offered:
    """Trust the key that the user saw. The host is asked again, so it must still show that one.

    Raises ``MachineError``, or ``RunnerError`` when there is no answer.
    """
    found = offered(machine)
    name = who.get_username() if who else ""
    if found.key.fingerprint != fingerprint.strip():
        said = fingerprint.strip()[:100] or "nothing"
        history.record(
            machine,
            events.KEY_NOT_CONFIRMED,
            f"{found.host} shows {found.key.fingerprint}; {said} was to be confirmed.",
            who=name,
        )
        raise MachineError(
            f"{found.host} now shows {found.key.fingerprint}, which is not what was confirmed "
            f"({fingerprint.strip()[:100] or 'nothing'}). Nothing was kept. Compare again."
        )
    known = f" in place of {found.known}" if found.is_changed else ""
    if found.hop == "jump":
        kept: dict[str, Any] = {
            "jump_host_key": found.key.text,
            "jump_fingerprint": fingerprint.strip(),
        }
    else:
        kept = {
            "host_key": found.key.text,
            "fingerprint": fingerprint.strip(),
            "confirmed_by": who,
            "confirmed_at": timezone.now(),
        }
    kept |= {"unreachable_since": None, "unreachable_reason": "", "changed_at": timezone.now()}
    with transaction.atomic():
        Machine.objects.filter(pk=machine.pk).update(**kept)
        told = f"{found.host} shows {found.kind} {found.key.fingerprint}{known}."
        history.record(machine, events.KEY_CONFIRMED, told, who=name)
    machine.refresh_from_db()
    return found
