"""Adding, changing, confirming and removing machines."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Min
from django.utils import timezone

from compute import history
from compute.machines.users import users
from compute.models import Machine, MachineSecret, SetUp, when
from compute.runners.base import RunnerError
from compute.runners.ssh import hostkeys
from compute.runners.ssh.hostkeys import HostKey
from compute.services import address_of, forget

SECRET_NAMES = frozenset(MachineSecret.Name.values)
FILES = {"ssh-ed25519": "ed25519", "ssh-rsa": "rsa"}


class MachineError(Exception):
    """It cannot be done. The message is a sentence, about the input ``field`` where it has one."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


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


def add(fields: Mapping[str, Any], secrets: Mapping[str, str], *, who: str = "") -> Machine:
    """Keep a new machine. It is used only after its host key was confirmed."""
    with transaction.atomic():
        kind = Machine.Kind.RAY if fields.get("ray_address") else Machine.Kind.SSH
        machine = Machine.objects.create(kind=kind, **fields)
        _keep_secrets(machine, secrets)
        history.record(machine, "added", f"At {machine.address}.", who=who)
        if machine.rental_ends_at:
            history.record(machine, "rental set", f"To {when(machine.rental_ends_at)}.", who=who)
    return machine


def change(
    machine: Machine,
    fields: Mapping[str, Any],
    secrets: Mapping[str, str],
    forget: Collection[str] = (),
    *,
    who: str = "",
) -> None:
    """Change a machine. Secrets that are not named stay; another address is to be confirmed anew.

    Only what is named here is written: what changed meanwhile by other hands stays. Raises
    ``MachineError``.
    """
    fields = {name: value for name, value in fields.items() if value != getattr(machine, name)}
    if "workdir" in fields and users().has_any(machine):
        raise MachineError(
            f"Its jobs have their runs below {machine.workdir}, where they would not be found any "
            "more. Add the machine a second time, with the other folder.",
            "workdir",
        )
    if "ray_address" in fields and (held := users().running(machine)):
        raise MachineError(
            f"Jobs run there: {held}. A cluster at another address does not know them, and they "
            "would be lost. Let them end first, or pause them.",
            "ray_address",
        )
    if machine.is_group and "rental_ends_at" in fields:
        raise MachineError(
            "Machines together have the rental that ends first: set it on that machine.",
            "rental_ends_at",
        )
    _refuse_while_set_up(machine, fields)
    if "workdir" in fields and (named := _groups_of(machine)):
        raise MachineError(f"It must be the same on all machines of {named}.", "workdir")
    _refuse_to_pass_on(machine, fields, {*secrets, *forget})
    told, anew = _told(machine, fields, secrets, forget), _to_confirm_anew(machine, fields)
    with transaction.atomic():
        written = {**fields, **anew, "changed_at": timezone.now()}
        Machine.objects.filter(pk=machine.pk).update(**written)
        machine.secrets.filter(name__in=forget).delete()
        _keep_secrets(machine, secrets)
        if "rental_ends_at" in fields:
            history.record(machine, "rental set", rental_told(fields["rental_ends_at"]), who=who)
            for place in machine.in_groups.select_related("group"):
                settle_rental(place.group)
        if told:
            history.record(machine, "changed", told, who=who)
    machine.refresh_from_db()


def settle_rental(group: Machine) -> None:
    """The rental of machines together ends with the first of theirs."""
    first = group.memberships.aggregate(ends=Min("machine__rental_ends_at"))["ends"]
    Machine.objects.filter(pk=group.pk).update(rental_ends_at=first)


def rental_told(ends_at: datetime | None) -> str:
    return f"It ends at {when(ends_at)}." if ends_at else "It has no end any more."


def _told(
    machine: Machine,
    fields: Mapping[str, Any],
    secrets: Mapping[str, str],
    forget: Collection[str],
) -> str:
    """What changes, in words. Of a secret no more than its name."""
    words = [
        f"{name} from {_word(getattr(machine, name))} to {_word(value)}"
        for name, value in fields.items()
        if name != "rental_ends_at"
    ]
    words += [f"{_label(name)} {'replaced' if _has(machine, name) else 'set'}" for name in secrets]
    words += [f"{_label(name)} removed" for name in forget if name not in secrets]
    is_new = {"host_key", "jump_host_key"} & set(_to_confirm_anew(machine, fields))
    anew = " Its host key is to be confirmed anew." if is_new else ""
    text = "; ".join(words)
    return f"{text[:1].upper()}{text[1:]}.{anew}" if words else ""


def _word(value: Any) -> str:
    return "nothing" if value in (None, "") else str(value)


def _label(secret: str) -> str:
    return str(MachineSecret.Name(secret).label).lower()


def _has(machine: Machine, secret: str) -> bool:
    return machine.secrets.filter(name=secret).exists()


def _refuse_while_set_up(machine: Machine, fields: Mapping[str, Any]) -> None:
    """A set-up that is under way makes the environment that these fields are about."""
    named = [name for name in ("verl", "python", "workdir") if name in fields]
    work = SetUp.objects.filter(machine=machine).first() if named else None
    if work and work.is_busy:
        raise MachineError("A set-up is under way. Change this when it has ended.", named[0])


def _refuse_to_pass_on(machine: Machine, fields: Mapping[str, Any], named: set[str]) -> None:
    """A password was given for one host: another one must not be sent it unasked.

    A private key is never sent, so it may stay. A jump host without secrets is sent the machine's.
    """
    shown = set()
    if _moves(machine, fields, "host", "port", "ray_address"):
        shown |= {"password"}
    if fields.get("jump_host") and _moves(machine, fields, "jump_host", "jump_port"):
        shown |= {"password", "jump_password"}
    kept = machine.secrets.filter(name__in=shown - named).values_list("name", flat=True)
    for name in sorted(kept):
        raise MachineError("It was given for the address before: give it again.", name)


def _to_confirm_anew(machine: Machine, fields: Mapping[str, Any]) -> dict[str, Any]:
    anew: dict[str, Any] = {}
    if _moves(machine, fields, "host", "port"):
        anew |= {"host_key": "", "fingerprint": "", "confirmed_by": None, "confirmed_at": None}
        anew |= {"unreachable_since": None, "unreachable_reason": ""}
    if _moves(machine, fields, "ray_address"):
        anew |= {"unreachable_since": None, "unreachable_reason": "", "facts": {}}
    if _moves(machine, fields, "jump_host", "jump_port"):
        anew |= {"jump_host_key": "", "jump_fingerprint": ""}
    return anew


def _moves(machine: Machine, fields: Mapping[str, Any], *names: str) -> bool:
    return any(name in fields and fields[name] != getattr(machine, name) for name in names)


def _keep_secrets(machine: Machine, secrets: Mapping[str, str]) -> None:
    for name, value in secrets.items():
        MachineSecret.objects.update_or_create(
            machine=machine, name=name, defaults={"value": value, "set_at": timezone.now()}
        )


def offered(machine: Machine) -> Offered:
    """Ask the machine for its key; first the one before it, while that is not confirmed.

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
            "key not confirmed",
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
        history.record(machine, "key confirmed", told, who=name)
    machine.refresh_from_db()
    return found


def remove(machine: Machine, *, who: str = "") -> bool:
    """Forget a machine and its secrets; true when it stays for the history of its jobs.

    Raises ``MachineError`` while jobs run or wait there.
    """
    if machine.is_local:
        raise MachineError("This machine is the one that Trainyard runs on. It is always there.")
    if named := _groups_of(machine):
        raise MachineError(f"It is one of the machines of {named}. Remove that first.")
    if held := in_the_way(machine):
        raise MachineError(f"Jobs still run or wait there: {held}. Stop them first.")
    forget(machine.pk)
    if not users().has_any(machine):
        machine.delete()
        return False
    with transaction.atomic():
        machine.secrets.all().delete()
        machine.memberships.all().delete()  # its machines are free to be removed as well
        Machine.objects.filter(pk=machine.pk).update(
            is_retired=True, changed_at=timezone.now(), name=_name_of_removed(machine)
        )
        history.record(machine, "removed", "Its secrets are forgotten.", who=who)
    machine.refresh_from_db()
    return True


def _groups_of(machine: Machine) -> str:
    """The groups that a machine is in, in words; empty when it is in none."""
    return ", ".join(place.group.name for place in machine.in_groups.select_related("group"))


def in_the_way(machine: Machine) -> str:
    """The jobs that keep a machine from being removed, in words; empty when there are none."""
    return users().holding(machine)


def _name_of_removed(machine: Machine) -> str:
    """Another name, so that a new machine may have this one."""
    return f"{machine.name[:70]} (removed, {machine.pk})"
