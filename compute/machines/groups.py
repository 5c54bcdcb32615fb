"""SSH machines together: which they are, and joining and parting them."""

from collections.abc import Sequence

from django.db import transaction

from compute import events
from compute.machines import history
from compute.machines.errors import MachineError
from compute.machines.verbs import settle_rental
from compute.models import Machine, Membership

LEAST = 2


def members_of(group: Machine) -> list[Membership]:
    """In order; the first is the head."""
    return list(group.memberships.select_related("machine").order_by("place"))


def sharing(machine_id: int) -> set[int]:
    """The machines whose devices are also this one's: its members, and groups of any of them."""
    members = Membership.objects.filter(group=machine_id).values_list("machine", flat=True)
    own = {machine_id, *members}
    groups = Membership.objects.filter(machine__in=own).values_list("group", flat=True)
    return own | set(groups)


def join(name: str, members: Sequence[tuple[Machine, str]], *, who: str = "") -> Machine:
    """Make a group of machines, each with its address inside (empty: its host); the head first.

    Raises ``MachineError``.
    """
    if problem := why_not(members):
        raise MachineError(problem, "members")
    head = members[0][0]
    with transaction.atomic():
        group = Machine.objects.create(
            name=name, kind=Machine.Kind.GROUP, workdir=head.workdir, python=head.python,
            verl=head.verl, slots=min(machine.slots for machine, _ in members),
        )  # fmt: skip
        Membership.objects.bulk_create(
            Membership(group=group, machine=machine, place=place, address=address)
            for place, (machine, address) in enumerate(members)
        )
        settle_rental(group)
        named = ", ".join(machine.name for machine, _ in members)
        history.record(group, events.ADDED, f"Joined of {named}.", who=who)
    group.refresh_from_db()
    return group


def why_not(members: Sequence[tuple[Machine, str]]) -> str:
    """Why these cannot be a group; empty when they can."""
    machines = [machine for machine, _ in members]
    if len({machine.pk for machine in machines}) < LEAST or len(set(machines)) < len(machines):
        return "A group has two machines or more, each once."
    head = machines[0]
    for machine in machines:
        if machine.kind != Machine.Kind.SSH or machine.is_retired or not machine.is_confirmed:
            return f"{machine} is no SSH machine whose host key is confirmed."
        if not machine.python:
            return f"{machine} has no training environment yet: set it up first."
        for name, called in CALLED.items():
            theirs, heads = getattr(machine, name), getattr(head, name)
            if theirs != heads:
                return (
                    f"{machine} has {theirs} as its {called}, and {head} has {heads}: they "
                    "must be the same on all."
                )
    return ""


CALLED = {"workdir": "work folder", "verl": "release of verl"}
