"""Stand-ins for kernels that need a GPU, which allocate as they do, and adapters."""

from typing import Any

import torch
from torch import nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from verl.utils.ulysses import gather_heads_scatter_seq, gather_seq_scatter_heads


class Flash(torch.autograd.Function):
    """flash_attn 2's varlen attention: (1, heads, T, size) in, (1, T, heads, size) out.

    Its backward pass holds the sum of dq in fp32 and, where query heads share keys, dk and dv of
    all query heads (flash_attn's csrc/flash_attn/flash_api.cpp, mha_varlen_bwd).
    """

    @staticmethod
    def forward(ctx: Any, query: Any, key: Any, value: Any) -> Any:
        query, key, value = (one.transpose(1, 2).contiguous() for one in (query, key, value))
        _, tokens, heads, _ = query.shape
        out = torch.empty_like(query)
        sums = torch.empty(heads, tokens, dtype=torch.float32)
        ctx.save_for_backward(query, key, value, out, sums)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        query, key, value, _, sums = ctx.saved_tensors
        found = [torch.empty_like(one) for one in (query, key, value)]
        delta = torch.empty_like(sums)
        total = torch.empty_like(query, dtype=torch.float32)
        wide = [torch.empty_like(query) for _ in (key, value)] if key.shape != query.shape else []
        del delta, total, wide
        return tuple(one.transpose(1, 2) for one in found)


def attention(module: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> Any:
    return Flash.apply(query, key, value), None


def parallel_attention(size: int) -> Any:
    """The same between Ulysses' exchanges, as verl.models.transformers.monkey_patch has it."""

    def run(module: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> Any:
        query, key, value = (one.transpose(1, 2) for one in (query, key, value))
        repeats = max(size // key.size(2), 1)
        if repeats > 1:
            key, value = (one.repeat_interleave(repeats, dim=2) for one in (key, value))
        query, key, value = (
            gather_seq_scatter_heads(one, seq_dim=1, head_dim=2).transpose(1, 2)
            for one in (query, key, value)
        )
        out = Flash.apply(query, key, value)
        return gather_heads_scatter_seq(out, seq_dim=1, head_dim=2), None

    return run


def use_attention(size: int) -> str:
    """Register what allocates as flash attention does, and return its name."""
    name = f"stand_in_{size}"
    ALL_ATTENTION_FUNCTIONS.register(name, attention if size == 1 else parallel_attention(size))
    return name


class LogProb(torch.autograd.Function):
    """flash_attn.ops.triton.cross_entropy: logits stay, the gradient may take their place."""

    @staticmethod
    def forward(ctx: Any, logits: Any, labels: Any, in_place: bool) -> Any:
        loss = torch.empty(logits.shape[0], dtype=torch.float32)
        sums = torch.empty(logits.shape[0], dtype=torch.float32)
        ctx.save_for_backward(logits, sums, labels)
        ctx.in_place = in_place
        return loss

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        logits = ctx.saved_tensors[0]
        return logits if ctx.in_place else torch.empty_like(logits), None, None


class Entropy(torch.autograd.Function):
    """verl's entropy_from_logits under torch.compile: no copy of the logits, one gradient."""

    @staticmethod
    def forward(ctx: Any, logits: Any) -> Any:
        ctx.save_for_backward(logits, *(torch.empty(logits.shape[0]) for _ in range(2)))
        return torch.empty(logits.shape[0], dtype=torch.float32)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return torch.empty_like(ctx.saved_tensors[0])


class Adapted(nn.Module):
    """A frozen linear layer with a LoRA adapter, computed as peft's ``Linear`` does."""

    def __init__(self, base: nn.Linear, rank: int) -> None:
        super().__init__()
        self.base_layer = base.requires_grad_(False)
        kind = base.weight.dtype
        self.lora_A = nn.Linear(base.in_features, rank, bias=False, dtype=kind)
        self.lora_B = nn.Linear(rank, base.out_features, bias=False, dtype=kind)

    def forward(self, x: Any) -> Any:
        result = self.base_layer(x)
        return result + self.lora_B(self.lora_A(x)) * 2.0


def adapt(model: nn.Module, rank: int, modules: tuple[str, ...]) -> None:
    """Freeze the model and give the named projections adapters."""
    model.requires_grad_(False)
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if name in modules and isinstance(child, nn.Linear):
                setattr(parent, name, Adapted(child, rank))
    model.get_input_embeddings().register_forward_hook(lambda _, __, out: out.requires_grad_(True))
