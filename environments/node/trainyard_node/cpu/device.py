"""A CPU device with the interface of `torch.cuda`; its memory is that of this process."""

import resource
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import psutil
import torch

# ru_maxrss: kibibytes on Linux, bytes on macOS.
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


class CpuDevice(ModuleType):
    """`torch.cpu` with the further functions that verl calls. Memory is resident memory in bytes;
    there is no caching allocator, so "reserved" and "allocated" are the same."""

    def __init__(self) -> None:
        super().__init__("trainyard_node.cpu.device", __doc__)

    def __getattr__(self, name: str) -> Any:
        return getattr(torch.cpu, name)

    def is_available(self) -> bool:
        return True

    def current_device(self) -> torch.device:
        return torch.device("cpu")

    def get_device_name(self, device: Any = None) -> str:
        # Not "CPU": verl would report an MFU from the 448 GFLOPS that it makes up for that name.
        return "host"

    def get_device_properties(self, device: Any = None) -> SimpleNamespace:
        total = psutil.virtual_memory().total
        cores = psutil.cpu_count() or 1
        return SimpleNamespace(name="host", total_memory=total, multi_processor_count=cores)

    def memory_allocated(self, device: Any = None) -> int:
        return int(psutil.Process().memory_info().rss)

    def memory_reserved(self, device: Any = None) -> int:
        return self.memory_allocated()

    def max_memory_allocated(self, device: Any = None) -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT

    def max_memory_reserved(self, device: Any = None) -> int:
        return self.max_memory_allocated()

    def mem_get_info(self, device: Any = None) -> tuple[int, int]:
        memory = psutil.virtual_memory()
        return memory.available, memory.total

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    def manual_seed_all(self, seed: int) -> None:
        torch.manual_seed(seed)

    def get_rng_state(self, device: Any = None) -> torch.Tensor:
        return torch.get_rng_state()

    def set_rng_state(self, state: torch.Tensor, device: Any = None) -> None:
        torch.set_rng_state(state)

    def empty_cache(self) -> None:
        return None

    def ipc_collect(self) -> None:
        return None

    def reset_peak_memory_stats(self, device: Any = None) -> None:
        return None


device_module = CpuDevice()
