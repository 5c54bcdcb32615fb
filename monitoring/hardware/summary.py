"""What the hardware did over a run, in one mean and one peak for each figure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

PERCENT, BYTES, RATE, CELSIUS, WATT = "percent", "bytes", "rate", "celsius", "watt"
FIGURES = (
    ("cpu_percent", "CPU", PERCENT),
    ("process_cpu_percent", "This run's CPU", PERCENT),
    ("memory_used", "Memory", BYTES),
    ("process_memory", "This run's memory", BYTES),
    ("disk_used", "Disk", BYTES),
    ("network_sent", "Network, sent", RATE),
    ("network_received", "Network, received", RATE),
)
OF_GPU = (
    ("util_percent", "use", PERCENT),
    ("memory_used", "memory", BYTES),
    ("power_w", "power", WATT),
    ("temperature_c", "temperature", CELSIUS),
)


@dataclass(frozen=True)
class Row:
    name: str
    unit: str
    mean: float
    peak: float


def summary(samples: Iterable[Mapping[str, Any]]) -> list[Row]:
    """A row for each figure that any of the samples has."""
    found: dict[tuple[str, str], list[float]] = {(name, unit): [] for _, name, unit in FIGURES}
    for sample in samples:
        for key, name, unit in FIGURES:
            _add(found, (name, unit), sample.get(key))
        for gpu in sample.get("gpus") or []:
            for key, name, unit in OF_GPU:
                _add(found, (f"GPU {gpu['index']}, {name}", unit), gpu.get(key))
    return [
        Row(name, unit, sum(values) / len(values), max(values))
        for (name, unit), values in found.items()
        if values
    ]


def _add(found: dict[tuple[str, str], list[float]], key: tuple[str, str], value: Any) -> None:
    if value is not None:
        found.setdefault(key, []).append(float(value))
