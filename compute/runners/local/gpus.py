"""GPU load through NVML, where there is an NVIDIA driver."""

from collections.abc import Callable
from typing import Any

import pynvml


def read_gpus() -> list[dict[str, Any]]:
    """One entry a GPU, memory in bytes, None for an unknown value; empty without a driver."""
    try:
        pynvml.nvmlInit()
        return [_read(index) for index in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return []


def _read(index: int) -> dict[str, Any]:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    memory = _told(pynvml.nvmlDeviceGetMemoryInfo, handle)
    load = _told(pynvml.nvmlDeviceGetUtilizationRates, handle)
    milliwatts = _told(pynvml.nvmlDeviceGetPowerUsage, handle)
    return {
        "index": index,
        "name": _told(pynvml.nvmlDeviceGetName, handle),
        "util_percent": load and load.gpu,
        "memory_used": memory and memory.used,
        "memory_total": memory and memory.total,
        "temperature_c": _told(
            pynvml.nvmlDeviceGetTemperature, handle, pynvml.NVML_TEMPERATURE_GPU
        ),
        "power_w": milliwatts and milliwatts / 1000,
    }


def _told(question: Callable[..., Any], *asked: object) -> Any:
    """The answer, or None where there is none: a slice of a GPU, for example, has no power."""
    try:
        return question(*asked)
    except pynvml.NVMLError:
        return None
