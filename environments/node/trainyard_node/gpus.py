"""Read GPUs through NVML. A machine without NVIDIA's driver has none: the list is empty."""

from collections.abc import Callable
from typing import Any


class NotRead(Exception):
    """The driver did not answer this time; the next time it may."""


class Gpus:
    """Readings of all GPUs of this machine; the first reading loads NVML."""

    def __init__(self) -> None:
        self._nvml: Any = None
        self._tried = False

    def read(self) -> list[dict[str, Any]]:
        """One dict a GPU: index, name, util_percent, memory_used and memory_total (bytes),
        temperature_c, power_w.

        A value that this GPU does not report is None.
        """
        nvml = self._load()
        if nvml is None:
            return []
        try:
            return [_reading(nvml, index) for index in range(nvml.nvmlDeviceGetCount())]
        except nvml.NVMLError:
            return []

    def memory(self) -> list[dict[str, Any]]:
        """One dict a GPU: index, uuid, used and total (bytes). Empty where there is no NVML.

        A GPU that does not answer is left out. Raises ``NotRead`` where none of them does.
        """
        nvml = self._load()
        if nvml is None:
            return []
        try:
            count = nvml.nvmlDeviceGetCount()
        except nvml.NVMLError as error:
            raise NotRead(str(error)) from None
        found, why = [], ""
        for index in range(count):
            try:
                found.append(_memory(nvml, index))
            except nvml.NVMLError as error:
                why = str(error)
        if why and not found:
            raise NotRead(why)
        return found

    def facts(self) -> dict[str, Any]:
        """What does not change: `driver`, the `cuda` that it brings, and of each of `gpus` index,
        uuid, name and memory (bytes). Without NVML there are no GPUs, and no driver is named."""
        nvml = self._load()
        if nvml is None:
            return {"gpus": []}
        return {
            "driver": _text(_asked(nvml, nvml.nvmlSystemGetDriverVersion)),
            "cuda": _release(_asked(nvml, nvml.nvmlSystemGetCudaDriverVersion)),
            "gpus": [
                _facts(nvml, index) for index in range(_asked(nvml, nvml.nvmlDeviceGetCount) or 0)
            ],
        }

    def _load(self) -> Any:
        if self._tried:
            return self._nvml
        self._tried = True
        try:
            import pynvml

            pynvml.nvmlInit()
        except Exception:  # no driver, no library or no permission: there is no reading
            return None
        self._nvml = pynvml
        return pynvml


def _asked(nvml: Any, question: Callable[[], Any]) -> Any:
    """The answer, or None where this driver or GPU has none."""
    try:
        return question()
    except nvml.NVMLError:
        return None


def _text(said: Any) -> Any:
    return said.decode() if isinstance(said, bytes) else said


def _release(number: int | None) -> str | None:
    """``12.8`` for 12080."""
    return None if number is None else f"{number // 1000}.{number % 1000 // 10}"


def _facts(nvml: Any, index: int) -> dict[str, Any]:
    handle = _asked(nvml, lambda: nvml.nvmlDeviceGetHandleByIndex(index))
    if handle is None:
        return {"index": index, "uuid": None, "name": None, "memory": None}
    memory = _asked(nvml, lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
    return {
        "index": index,
        "uuid": _text(_asked(nvml, lambda: nvml.nvmlDeviceGetUUID(handle))),
        "name": _text(_asked(nvml, lambda: nvml.nvmlDeviceGetName(handle))),
        "memory": None if memory is None else int(memory.total),
    }


def _memory(nvml: Any, index: int) -> dict[str, Any]:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    uuid, memory = nvml.nvmlDeviceGetUUID(handle), nvml.nvmlDeviceGetMemoryInfo(handle)
    return {
        "index": index,
        "uuid": _text(uuid),
        "used": int(memory.used),
        "total": int(memory.total),
    }


def _reading(nvml: Any, index: int) -> dict[str, Any]:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)

    def ask(question: Callable[[], Any]) -> Any:
        return _asked(nvml, question)

    return {
        "index": index,
        "name": _text(ask(lambda: nvml.nvmlDeviceGetName(handle))),
        "util_percent": ask(lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu),
        "memory_used": ask(lambda: nvml.nvmlDeviceGetMemoryInfo(handle).used),
        "memory_total": ask(lambda: nvml.nvmlDeviceGetMemoryInfo(handle).total),
        "temperature_c": ask(lambda: nvml.nvmlDeviceGetTemperature(handle, 0)),
        "power_w": ask(lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000),
    }
