"""A change of a machine: why it is refused, how it is described, what it undoes."""

from collections.abc import Collection, Mapping
from typing import Any

from compute.machines.errors import MachineError
from compute.machines.users import users
from compute.models import Machine, MachineSecret, SetUp


def refuse(machine: Machine, fields: Mapping[str, Any], secrets: set[str]) -> None:
    """Raise ``MachineError`` when the machine must not change in this way.

    ``secrets`` are the names of those that are given anew or removed by the same change.
    """
    _refuse_to_lose_runs(machine, fields)
    if machine.is_group and "rental_ends_at" in fields:
        raise MachineError(
            "Machines together have the rental that ends first: set it on that machine.",
            "rental_ends_at",
        )
    _refuse_while_set_up(machine, fields)
    if "workdir" in fields and (named := groups_of(machine)):
        raise MachineError(f"It must be the same on all machines of {named}.", "workdir")
    _refuse_to_pass_on(machine, fields, secrets)


def _refuse_to_lose_runs(machine: Machine, fields: Mapping[str, Any]) -> None:
    if "workdir" in fields and users().has_any(machine):
        raise MachineError(
            f"Its jobs have their runs below {machine.workdir}, where they would not be found any "
            "more. Add the machine a second time, with the other folder.",
            "workdir",
        )
    if "ray_address" in fields and (running := users().running(machine)):
        raise MachineError(
            f"Jobs run there: {running}. A cluster at another address does not know them, and they "
            "would be lost. Let them end first, or pause them.",
            "ray_address",
        )


def groups_of(machine: Machine) -> str:
    """The groups that a machine is in, in words; empty when it is in none."""
    return ", ".join(place.group.name for place in machine.in_groups.select_related("group"))


def described(
    machine: Machine,
    fields: Mapping[str, Any],
    secrets: Mapping[str, str],
    forget: Collection[str],
) -> str:
    """A sentence on what changes, with the names of secrets only; empty when nothing changes."""
    parts = [
        f"{name} from {_word(getattr(machine, name))} to {_word(value)}"
        for name, value in fields.items()
        if name != "rental_ends_at"
    ]
    parts += [f"{_label(name)} {'replaced' if _has(machine, name) else 'set'}" for name in secrets]
    parts += [f"{_label(name)} removed" for name in forget if name not in secrets]
    is_new = {"host_key", "jump_host_key"} & set(to_confirm_anew(machine, fields))
    anew = " Its host key is to be confirmed anew." if is_new else ""
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}.{anew}" if parts else ""


def _word(value: Any) -> str:
    return "nothing" if value in (None, "") else str(value)


def _label(secret: str) -> str:
    return str(MachineSecret.Name(secret).label).lower()


def _has(machine: Machine, secret: str) -> bool:
    return machine.secrets.filter(name=secret).exists()


def _refuse_while_set_up(machine: Machine, fields: Mapping[str, Any]) -> None:
    """Refuse a change of fields that a set-up is using now."""
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


def to_confirm_anew(machine: Machine, fields: Mapping[str, Any]) -> dict[str, Any]:
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
