"""GPU load through NVML, where there is an NVIDIA driver."""

from typing import Any

import pynvml


def read_gpus() -> list[dict[str, Any]]:
    """One entry a GPU, memory in bytes; empty when there is no driver or it does not answer."""
    try:
        pynvml.nvmlInit()
        return [_read(index) for index in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return []


def _read(index: int) -> dict[str, Any]:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    celsius = pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU)
    return {
        "index": index,
        "name": pynvml.nvmlDeviceGetName(handle),
        "util_percent": pynvml.nvmlDeviceGetUtilizationRates(handle).gpu,
        "memory_used": memory.used,
        "memory_total": memory.total,
        "temperature_c": celsius,
        "power_w": pynvml.nvmlDeviceGetPowerUsage(handle) / 1000,
    }
