"""The devices of a machine: one view of what the user, samples, checks and clusters tell."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils.dateparse import parse_datetime

from compute.machines.groups import members_of
from compute.models import Machine
from compute.sizing.devices import (
    Devices,
    described,
    of_check,
    of_members,
    of_nodes,
    of_sample,
    of_user,
)


def devices_of(machine: Machine) -> Devices | None:
    """The devices that a machine is known to have; None while that is not known."""
    if machine.is_group:
        members = members_of(machine)
        return of_members([(each.machine.name, devices_of(each.machine)) for each in members])
    sample = machine.samples.first()
    return devices_with(machine, sample.data, sample.at) if sample else devices_with(machine)


def devices_with(
    machine: Machine, load: Mapping[str, Any] | None = None, measured_at: datetime | None = None
) -> Devices | None:
    """The same for a single machine or a cluster, by the newest sample of its load.

    How many there are, the user knows best, then a cluster itself; both are named by who saw them.
    """
    measured = of_sample(load, measured_at) if load is not None and measured_at else None
    checked_at = parse_datetime(str(machine.facts.get("at", "")))
    seen = measured or of_check(machine.facts.get("parts", {}), checked_at)
    if machine.gpus is not None:
        return described(of_user(machine.gpus), seen)
    nodes = of_nodes(facts_of_nodes(machine), checked_at)
    return described(nodes, seen) if nodes else seen


def is_cluster(machine: Machine) -> bool:
    """Whether runs join a Ray that is up already, perhaps over several nodes.

    The Ray of a group is brought up for each job, over the devices that the job was given.
    """
    return machine.is_ray


def facts_of_nodes(machine: Machine) -> list[dict[str, Any]]:
    """What the last check wrote of each living node: name, cpus, gpus. Empty for no cluster."""
    return [dict(node) for node in machine.facts.get("nodes", ())]


def nodes_of(machine: Machine) -> list[int] | None:
    """The devices of each node; none while they are not known; None for what is no cluster."""
    if not is_cluster(machine):
        return None
    found = of_nodes(facts_of_nodes(machine), None)
    return found.per_node if found else []
