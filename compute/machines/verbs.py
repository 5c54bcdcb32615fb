"""Adding, changing and removing machines."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Min, ProtectedError
from django.utils import timezone

from compute import events
from compute.machines import history
from compute.machines.addresses import forget as forget_address
from compute.machines.changes import described, groups_of, refuse, to_confirm_anew
from compute.machines.errors import MachineError
from compute.machines.users import users
from compute.models import Machine, MachineSecret, when

SECRET_NAMES = frozenset(MachineSecret.Name.values)


def add(fields: Mapping[str, Any], secrets: Mapping[str, str], *, who: str = "") -> Machine:
    """Keep a new machine. It is used only after its host key was confirmed."""
    with transaction.atomic():
        kind = Machine.Kind.RAY if fields.get("ray_address") else Machine.Kind.SSH
        machine = Machine.objects.create(kind=kind, **fields)
        _keep_secrets(machine, secrets)
        history.record(machine, events.ADDED, f"At {machine.address}.", who=who)
        if machine.rental_ends_at:
            history.record(
                machine, events.RENTAL_SET, f"To {when(machine.rental_ends_at)}.", who=who
            )
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

    Only the named fields are written, so that changes by others meanwhile stay. Raises
    ``MachineError``.
    """
    fields = {name: value for name, value in fields.items() if value != getattr(machine, name)}
    refuse(machine, fields, {*secrets, *forget})
    told = described(machine, fields, secrets, forget)
    anew = to_confirm_anew(machine, fields)
    with transaction.atomic():
        written = {**fields, **anew, "changed_at": timezone.now()}
        Machine.objects.filter(pk=machine.pk).update(**written)
        machine.secrets.filter(name__in=forget).delete()
        _keep_secrets(machine, secrets)
        if "rental_ends_at" in fields:
            history.record(
                machine, events.RENTAL_SET, rental_told(fields["rental_ends_at"]), who=who
            )
            for place in machine.in_groups.select_related("group"):
                settle_rental(place.group)
        if told:
            history.record(machine, events.CHANGED, told, who=who)
    machine.refresh_from_db()


def settle_rental(group: Machine) -> None:
    """The rental of machines together ends with the first of theirs."""
    first = group.memberships.aggregate(ends=Min("machine__rental_ends_at"))["ends"]
    Machine.objects.filter(pk=group.pk).update(rental_ends_at=first)


def rental_told(ends_at: datetime | None) -> str:
    return f"It ends at {when(ends_at)}." if ends_at else "It has no end any more."


def _keep_secrets(machine: Machine, secrets: Mapping[str, str]) -> None:
    for name, value in secrets.items():
        MachineSecret.objects.update_or_create(
            machine=machine, name=name, defaults={"value": value, "set_at": timezone.now()}
        )


def remove(machine: Machine, *, who: str = "") -> bool:
    """Forget a machine and its secrets; true when it stays for the history of its jobs.

    Raises ``MachineError`` while jobs run or wait there.
    """
    if machine.is_local:
        raise MachineError("This machine is the one that Trainyard runs on. It is always there.")
    if named := groups_of(machine):
        raise MachineError(f"It is one of the machines of {named}. Remove that first.")
    if named := in_the_way(machine):
        raise MachineError(f"Jobs still run or wait there: {named}. Stop them first.")
    forget_address(machine.pk)
    if not users().has_any(machine) and _deleted(machine):
        return False
    with transaction.atomic():
        machine.secrets.all().delete()
        machine.memberships.all().delete()  # its machines are free to be removed as well
        Machine.objects.filter(pk=machine.pk).update(
            is_retired=True, changed_at=timezone.now(), name=_name_of_removed(machine)
        )
        history.record(machine, events.REMOVED, "Its secrets are forgotten.", who=who)
    machine.refresh_from_db()
    return True


def _deleted(machine: Machine) -> bool:
    """False where a record that is kept names it, such as a chain of which no job is left."""
    try:
        machine.delete()
    except ProtectedError:
        return False
    return True


def in_the_way(machine: Machine) -> str:
    """The jobs that keep a machine from being removed, in words; empty when there are none."""
    return users().running_or_waiting(machine)


def _name_of_removed(machine: Machine) -> str:
    """A name for a removed machine, so that a new one may take its old name."""
    return f"{machine.name[:70]} (removed, {machine.pk})"
