"""Adds up the load that the agents of a cluster's nodes measured."""

from collections.abc import Iterator
from typing import Any

MIB = 1 << 20


def sample_of(nodes: list[dict[str, Any]]) -> dict[str, Any]:
    """A sample with the keys of ``system.jsonl``; the GPUs are numbered over all nodes.

    Raises ``ValueError`` where figures are missing.
    """
    try:
        alive = [node for node in nodes if node["raylet"].get("state") == "ALIVE"]
        cores = [max(1, int(node["cpus"][0])) for node in alive]
        busy = sum(node["cpu"] * count for node, count in zip(alive, cores, strict=True))
        disks = [disk for node in alive for disk in _disk(node)]
        return {
            "cpu_percent": busy / max(1, sum(cores)),
            "memory_used": sum(node["mem"][3] for node in alive),
            "memory_total": sum(node["mem"][0] for node in alive),
            "disk_used": sum(disk["used"] for disk in disks),
            "disk_total": sum(disk["total"] for disk in disks),
            "gpus": [{**gpu, "index": number} for number, gpu in enumerate(_gpus(alive))],
        }
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"{error} is missing") from None


def _disk(node: dict[str, Any]) -> list[dict[str, Any]]:
    """Ray names each mount that it looks at; the root is where its own files are."""
    disks = node.get("disk") or {}
    return [disks["/"]] if "/" in disks else list(disks.values())[:1]


def _gpus(nodes: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for node in sorted(nodes, key=lambda one: str(one.get("ip"))):
        for gpu in node.get("gpus") or ():
            yield {
                "name": f"{gpu.get('name', '')} ({node.get('ip')})",
                "util_percent": gpu.get("utilizationGpu"),
                "memory_used": _bytes(gpu.get("memoryUsed")),
                "memory_total": _bytes(gpu.get("memoryTotal")),
                "temperature_c": gpu.get("temperatureC"),
                "power_w": _watts(gpu.get("powerMw")),
            }


def _bytes(mebibytes: Any) -> Any:
    return mebibytes * MIB if isinstance(mebibytes, int | float) else None


def _watts(milliwatts: Any) -> Any:
    return milliwatts / 1000 if isinstance(milliwatts, int | float) else None
