"""The shape of a cluster: how many devices each of its nodes has, as the last check found."""

from typing import Any

from compute.models import Machine

# A group's Ray is brought up for each job, over the devices that the job was given.
KINDS = (Machine.Kind.RAY,)


def is_cluster(machine: Machine) -> bool:
    """Whether its runs meet a Ray that is there already, perhaps over several nodes."""
    return machine.kind in KINDS


def facts_of_nodes(machine: Machine) -> list[dict[str, Any]]:
    """What the last check wrote of each living node (``facts["nodes"]``): name, cpus, gpus."""
    return [dict(node) for node in machine.facts.get("nodes", ())]


def nodes_of(machine: Machine) -> list[int] | None:
    """The devices of each node; none while they are not known; None for what is no cluster."""
    if not is_cluster(machine):
        return None
    return [int(node.get("gpus") or 0) for node in facts_of_nodes(machine)]
