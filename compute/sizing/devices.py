"""What GPUs a machine has: one view, whoever told of them.

A sample of the load, a check, the nodes of a Ray cluster and the user's own word each tell a part.
What a machine told is input from a stranger, of whatever shape.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

Source = Literal["user", "sample", "check", "nodes", "members"]

MOST = 1024  # devices of a machine, as samples are bounded


@dataclass(frozen=True)
class Device:
    """A GPU. ``index`` is its number as the driver of its machine counts, or over all nodes where a
    cluster hands its devices out. ``name`` and ``node`` are empty where they were not told,
    ``memory_total`` is in bytes, or None."""

    index: int
    name: str = ""
    memory_total: int | None = None
    node: str = ""


@dataclass(frozen=True)
class Node:
    """A machine of a cluster or of a group, and how many devices it has."""

    name: str
    devices: int


@dataclass(frozen=True)
class Devices:
    """The GPUs of a machine that are known; none at all is known as well.

    ``nodes`` are those of a cluster or a group, the head first, and none of a single machine.
    ``source`` is who told how many there are, at ``measured_at`` unless it was the user.
    """

    found: tuple[Device, ...]
    nodes: tuple[Node, ...]
    source: Source
    measured_at: datetime | None

    @property
    def count(self) -> int:
        return len(self.found)

    @property
    def indices(self) -> frozenset[int]:
        return frozenset(device.index for device in self.found)

    @property
    def names(self) -> dict[int, str]:
        """Names by index, "" where none was told."""
        return {device.index: device.name for device in self.found}

    @property
    def per_node(self) -> list[int]:
        """How many devices each node has; all of them on the one that a single machine is."""
        return [node.devices for node in self.nodes] if self.nodes else [self.count]

    @property
    def kinds(self) -> list["DeviceKind"]:
        """How many there are of each name and memory, in the order of the devices."""
        counts = Counter((device.name, device.memory_total) for device in self.found)
        return [DeviceKind(name, memory, count) for (name, memory), count in counts.items()]


@dataclass(frozen=True)
class DeviceKind:
    """``count`` devices of one name and memory in bytes, as for ``Device``."""

    name: str
    memory_total: int | None
    count: int


def of_sample(data: Mapping[str, Any], measured_at: datetime) -> Devices | None:
    """Those whose load was measured; None where a sample tells nothing of GPUs."""
    return _listed(_mapping(data).get("gpus"), "memory_total", "sample", measured_at)


def of_check(parts: Mapping[str, Any], measured_at: datetime | None) -> Devices | None:
    """Those that a check listed; None where it could not look, though there may be cards."""
    data = _mapping(_mapping(_mapping(parts).get("gpus")).get("data"))
    found = _listed(data.get("gpus"), "memory", "check", measured_at)
    if found is not None and not found.found and data.get("cards"):
        return None
    return found


def of_nodes(told: Iterable[Mapping[str, Any]], measured_at: datetime | None) -> Devices | None:
    """Those of a cluster's living nodes, numbered over all of them; None where no node is known."""
    nodes = tuple(Node(str(node.get("name", "")), _count(node.get("gpus"))) for node in told)
    if not nodes:
        return None
    numbered = [node.name for node in nodes for _ in range(node.devices)]
    found = tuple(Device(index, node=name) for index, name in enumerate(numbered[:MOST]))
    return Devices(found, nodes, "nodes", measured_at)


def of_user(count: int) -> Devices:
    """So many as the user said."""
    return Devices(tuple(Device(index) for index in range(count)), (), "user", None)


def of_members(members: Sequence[tuple[str, Devices | None]]) -> Devices | None:
    """Those of machines together, each with its own numbers; None while one's are not known."""
    known = [(name, devices) for name, devices in members if devices is not None]
    if not members or len(known) < len(members):
        return None
    found = tuple(replace(device, node=name) for name, each in known for device in each.found)
    nodes = tuple(Node(name, each.count) for name, each in known)
    times = [each.measured_at for _, each in known if each.measured_at]
    return Devices(found, nodes, "members", min(times, default=None))


def described(devices: Devices, known: Devices | None) -> Devices:
    """The same devices, with what another source knows of those with the same numbers."""
    better = {device.index: device for device in known.found} if known else {}
    return replace(devices, found=tuple(better.get(one.index, one) for one in devices.found))


def _listed(told: Any, memory: str, source: Source, at: datetime | None) -> Devices | None:
    if not isinstance(told, list):
        return None
    found = tuple(_device(_mapping(one), memory) for one in told[:MOST])
    return Devices(tuple(one for one in found if one), (), source, at)


def _device(told: Mapping[str, Any], memory: str) -> Device | None:
    index, total = told.get("index"), told.get(memory)
    if type(index) is not int or not 0 <= index < MOST:
        return None
    is_size = isinstance(total, int | float) and 0 < total < 1 << 60
    name, node = (str(told.get(key) or "") for key in ("name", "node"))
    return Device(index, name, int(total) if is_size and total else None, node)


def _count(told: Any) -> int:
    return min(MOST, told) if type(told) is int and told > 0 else 0


def _mapping(told: Any) -> Mapping[str, Any]:
    return told if isinstance(told, dict) else {}
