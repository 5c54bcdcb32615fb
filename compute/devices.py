"""The GPUs of a machine: their numbers as its driver counts them, and their names."""

from collections.abc import Mapping

from compute.models import Machine


def devices_of(machine: Machine) -> Mapping[int, str] | None:
    """Names by number ("" where none was told); None while the machine's GPUs are not known."""
    measured = _measured(machine)
    if machine.gpus is None:
        return measured
    names = measured or {}
    return {number: names.get(number, "") for number in range(machine.gpus)}


def _measured(machine: Machine) -> dict[int, str] | None:
    sample = machine.samples.first()
    if sample is None or "gpus" not in sample.data:
        return None
    return {gpu["index"]: gpu.get("name") or "" for gpu in sample.data["gpus"]}
