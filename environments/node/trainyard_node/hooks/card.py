"""The memory of this process's GPU, as PyTorch's allocator and the driver count it."""

from typing import Any


def _cuda() -> Any:
    """`torch.cuda` where this process has begun to use a GPU, else None."""
    import torch

    return torch.cuda if torch.cuda.is_available() and torch.cuda.is_initialized() else None


def reset() -> None:
    """Forget the peaks so far."""
    if cuda := _cuda():
        cuda.reset_peak_memory_stats()


def peak() -> dict[str, int | str]:
    """Bytes since the last reset: `allocated` and `reserved` at their peaks, `others` that are now
    taken of the card beside this process's allocator, and the card's `total`; and its `uuid`, as
    the driver names it. Empty without one.
    """
    cuda = _cuda()
    if cuda is None:
        return {}
    free, total = cuda.mem_get_info()
    return {
        "allocated": int(cuda.max_memory_allocated()),
        "reserved": int(cuda.max_memory_reserved()),
        "others": max(0, int(total) - int(free) - int(cuda.memory_reserved())),
        "total": int(total),
        **_name(cuda),
    }


def _name(cuda: Any) -> dict[str, str]:
    """Empty where this PyTorch does not tell it: the figures count without."""
    try:
        uuid = str(cuda.get_device_properties(cuda.current_device()).uuid)
    except Exception:
        return {}
    prefix = "" if uuid.startswith(("GPU-", "MIG-")) else "GPU-"
    return {"uuid": f"{prefix}{uuid}"}
