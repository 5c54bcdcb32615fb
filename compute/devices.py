"""The GPUs of a machine: their numbers as its driver counts them, and their names."""

from collections.abc import Mapping

from compute.clusters import nodes_of
from compute.models import Machine


def devices_of(machine: Machine) -> Mapping[int, str] | None:
    """Names by number ("" where none was told); None while the machine's GPUs are not known."""
    measured = _measured(machine)
    count = machine.gpus if machine.gpus is not None else _of_cluster(machine)
    if count is None:
        return measured
    names = measured or {}
    return {number: names.get(number, "") for number in range(count)}


def _of_cluster(machine: Machine) -> int | None:
    """A cluster hands out its devices by itself: what counts here is how many there are."""
    return sum(nodes_of(machine) or ()) if machine.facts.get("nodes") else None


def _measured(machine: Machine) -> dict[int, str] | None:
    sample = machine.samples.first()
    if sample is None or "gpus" not in sample.data:
        return None
    return {gpu["index"]: gpu.get("name") or "" for gpu in sample.data["gpus"]}
