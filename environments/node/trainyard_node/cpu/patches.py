"""Patches where verl has no plug-in point. They are applied only when VERL_PLATFORM is "cpu"."""

import functools
from types import ModuleType
from typing import Any

import torch
import torch.distributed

from trainyard_node.imports import when_imported


def apply() -> None:
    """Apply every patch; a second call changes nothing."""
    _name_one_backend_once()
    _skip_pinning()
    _avoid_flash_attention()


def _name_one_backend_once() -> None:
    """verl asks for "cpu:gloo,<device>:<backend>", which names the CPU twice on a CPU."""
    original = torch.distributed.init_process_group
    if hasattr(original, "__wrapped_for_cpu__"):
        return

    @functools.wraps(original)
    def init_process_group(backend: str | None = None, *args: Any, **kwargs: Any) -> Any:
        return original("gloo" if backend == "cpu:gloo,cpu:gloo" else backend, *args, **kwargs)

    init_process_group.__wrapped_for_cpu__ = True  # type: ignore[attr-defined]
    torch.distributed.init_process_group = init_process_group
    torch.distributed.distributed_c10d.init_process_group = init_process_group


def _skip_pinning() -> None:
    """FSDP2 pins the memory of the offloaded reference model; without a GPU torch refuses that."""
    torch.Tensor.pin_memory = lambda self, *args, **kwargs: self


def _avoid_flash_attention() -> None:
    """verl loads the critic with a hard-coded FlashAttention-2, which needs a GPU."""
    when_imported("transformers.models.auto.modeling_auto", _without_flash_attention)


def _without_flash_attention(module: ModuleType) -> None:
    critic = module.AutoModelForTokenClassification
    original = critic.from_pretrained.__func__
    if hasattr(original, "__wrapped_for_cpu__"):
        return

    @functools.wraps(original)
    def from_pretrained(cls: Any, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("attn_implementation") == "flash_attention_2":
            kwargs["attn_implementation"] = "sdpa"
        return original(cls, *args, **kwargs)

    from_pretrained.__wrapped_for_cpu__ = True  # type: ignore[attr-defined]
    critic.from_pretrained = classmethod(from_pretrained)
