"""Reduces the load that a far machine reports to known figures within bounds."""

from collections.abc import Iterator
from typing import Any

FIGURES = ("cpu_percent", "memory_used", "memory_total", "disk_used", "disk_total")
GPU_FIGURES = ("util_percent", "memory_used", "memory_total", "temperature_c", "power_w")
RUN_FIGURES = (
    *FIGURES, "process_cpu_percent", "process_memory", "network_sent", "network_received"
)  # fmt: skip
MOST = 2**60  # bytes, and anything else that is measured
MOST_GPUS = 64
LONGEST_NAME = 100


def clean_sample(told: Any) -> dict[str, Any]:
    """The known figures of a sample, None for what is no figure. Raises ``ValueError``.

    What a far machine answers is shown to everybody, so a word in place of a number, or a number
    beyond all bounds, must not break their pages.
    """
    if not isinstance(told, dict):
        raise ValueError("it is no list of figures")
    kept: dict[str, Any] = {name: _figure(told.get(name)) for name in FIGURES}
    if None in kept.values():
        raise ValueError("figures are missing")
    gpus = told.get("gpus")
    return {**kept, "gpus": list(_gpus(gpus)) if isinstance(gpus, list) else []}


def clean_run_sample(told: dict[str, Any]) -> dict[str, Any]:
    """The known figures that a run's own sample has. Raises ``ValueError`` where a word stands in
    place of a number or of the list of GPUs."""
    kept: dict[str, Any] = {name: _figure(told[name]) for name in RUN_FIGURES if name in told}
    wrong = [name for name, value in kept.items() if value is None and told[name] is not None]
    if wrong:
        raise ValueError(f"{wrong[0]} is no figure")
    if "gpus" in told:
        if not isinstance(told["gpus"], list):
            raise ValueError("gpus is no list")
        kept["gpus"] = list(_gpus(told["gpus"]))
    if not kept:
        raise ValueError("it has no figure")
    return kept


def _gpus(told: list[Any]) -> Iterator[dict[str, Any]]:
    for gpu in told[:MOST_GPUS]:
        index = gpu.get("index") if isinstance(gpu, dict) else None
        if isinstance(index, int) and 0 <= index < 1024:
            name = str(gpu.get("name") or "").encode(errors="replace").decode()
            plain = "".join(letter for letter in name if letter.isprintable())[:LONGEST_NAME]
            figures = {figure: _figure(gpu.get(figure)) for figure in GPU_FIGURES}
            yield {"index": index, "name": plain, **figures}


def _figure(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value <= MOST else None  # NaN fails this comparison, too
