"""Where a machine is and what opens it, for as long as this process is connected to it."""

import time
from datetime import datetime
from functools import lru_cache

from compute.models import Machine, MachineSecret
from compute.runners.base import RunnerError
from compute.runners.ssh.address import Address, Login
from compute.runners.ssh.connection import connection_to, drop
from platform_site.secrets import SecretError

FORGET_EVERY = 60.0  # seconds between two looks for machines that changed or were removed


def address_of(machine: Machine) -> Address:
    """Where the machine is and how to log in, with its secrets open: for its connection only."""
    _forget_old()
    known = _addresses.get(machine.pk)
    if known and known[0] == machine.changed_at:
        return known[1]
    address = _address(machine.pk)
    _addresses[machine.pk] = machine.changed_at, address
    if known and known[1] != address:
        drop(known[1], _used())
    elif known:
        connection_to(address).retry_now()  # a user changed the machine: its fault may be gone
    return address


# Read once for each state of a machine: one that changed has another ``changed_at``.
_addresses: dict[int, tuple[datetime, Address]] = {}
_looked_at = [0.0]


def _forget_old() -> None:
    """Drop what this process still holds of machines that changed or were removed elsewhere."""
    if not _addresses or time.monotonic() < _looked_at[0] + FORGET_EVERY:
        return
    _looked_at[0] = time.monotonic()
    kept = dict(Machine.objects.kept().values_list("pk", "changed_at"))
    for pk, (changed_at, _) in list(_addresses.items()):
        if kept.get(pk) != changed_at:
            forget(pk)


def forget(pk: int) -> None:
    """End this process's connection to a machine, and forget what opens it."""
    if known := _addresses.pop(pk, None):
        drop(known[1], _used())


def _used() -> set[Address]:
    return {address for _, address in _addresses.values()}


def retry_now(machine: Machine) -> None:
    """Somebody found that the machine answers: this process need not wait any longer."""
    if known := _addresses.get(machine.pk):
        connection_to(known[1]).retry_now()


def _address(pk: int) -> Address:
    machine, opened = Machine.objects.get(pk=pk), _opened(pk)
    given = {name: opened.get(name, "") for name in ("password", "private_key", "passphrase")}
    return Address(
        machine.host,
        Login(machine.user, **given),
        port=machine.port,
        host_key=machine.host_key,
        jump=_jump(machine, given, opened),
    )


def _jump(machine: Machine, given: dict[str, str], opened: dict[str, str]) -> Address | None:
    """The jump host, with secrets of its own or else those of the machine."""
    if not machine.jump_host:
        return None
    own = {name: opened.get(f"jump_{name}", "") for name in given}
    login = Login(machine.jump_user or machine.user, **(own if any(own.values()) else given))
    return Address(machine.jump_host, login, port=machine.jump_port, host_key=machine.jump_host_key)


def _opened(pk: int) -> dict[str, str]:
    try:
        secrets = MachineSecret.objects.filter(machine=pk)
        return {secret.name: secret.value.open() for secret in secrets}
    except SecretError as error:
        raise RunnerError(str(error)) from None


def token_of(machine: Machine) -> str:
    """What the dashboard of a Ray cluster asks for, empty where none is kept: for its API only.

    Raises ``RunnerError``.
    """
    return _token(machine.pk, machine.changed_at)


@lru_cache(maxsize=256)
def _token(pk: int, changed_at: datetime) -> str:
    return _opened(pk).get(MachineSecret.Name.PASSWORD, "")
