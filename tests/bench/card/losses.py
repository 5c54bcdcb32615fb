"""Log-probabilities and entropies from logits, with the memory that verl's take.

verl 0.9.1 takes flash-attn's fused cross entropy (``verl/utils/torch_functional.py``), which keeps
the logits and overwrites them with their gradient, and compiles the entropy. Where Triton or a
compiler is missing, the same is done in small portions of rows: as much memory, more launches.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

PORTION = 16 << 20  # bytes of float32 that a portion takes beside the logits

Forward = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
Backward = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], None]
Entropy = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Losses:
    """How this machine computes them, and the names of the ways for the report."""

    forward: Forward
    backward: Backward
    entropy: Entropy
    names: dict[str, str]

    def log_probs(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """For each row of ``logits``, in float32. A backward pass destroys the logits."""
        return -_Fused.apply(logits, labels, self)


class _Fused(torch.autograd.Function):  # type: ignore[misc]  # torch has no types here
    @staticmethod
    def forward(
        ctx: Any, logits: torch.Tensor, labels: torch.Tensor, losses: Losses
    ) -> torch.Tensor:
        found, sums = losses.forward(logits, labels)
        ctx.save_for_backward(logits, labels, sums)
        ctx.losses = losses
        return found

    @staticmethod
    def backward(ctx: Any, slopes: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        logits, labels, sums = ctx.saved_tensors
        ctx.losses.backward(logits, labels, sums, slopes)
        return logits, None, None


def losses_of(device: str) -> Losses:
    """The fused kernels where they work here and agree with plain PyTorch, portions otherwise."""
    forward: Forward = portioned_forward
    backward: Backward = portioned_backward
    entropy: Entropy = portioned_entropy
    fused = entropies = "portions of rows"
    if device == "cuda":
        try:
            forward, backward = _triton()
            fused = "Triton"
        except Exception as error:  # whatever a compiler that is missing raises
            fused += f" ({type(error).__name__}: {str(error)[:200]})"
        try:
            entropy, entropies = _compiled(), "compiled"
        except Exception as error:
            entropies += f" ({type(error).__name__}: {str(error)[:200]})"
    return Losses(forward, backward, entropy, {"cross_entropy": fused, "entropy": entropies})


def _triton() -> tuple[Forward, Backward]:
    from tests.bench.card import kernels

    check(kernels.forward, kernels.backward, "cuda")
    return kernels.forward, kernels.backward


def check(forward: Forward, backward: Backward, device: str) -> None:
    """Raises ``AssertionError`` where they do not agree with PyTorch's own cross entropy."""
    dice = torch.Generator(device=device).manual_seed(7)
    logits = torch.randn(5, 9001, device=device, generator=dice)
    labels = torch.tensor([0, 1, 4096, 8999, 9000], device=device)
    slopes = torch.tensor([1.0, -2.0, 0.5, 3.0, 0.0], device=device)
    asked = logits.clone().requires_grad_()
    expected = torch.nn.functional.cross_entropy(asked, labels, reduction="none")
    (slope,) = torch.autograd.grad(expected, asked, slopes)
    found, sums = forward(logits, labels)
    backward(logits, labels, sums, slopes)
    torch.testing.assert_close(found, expected.detach(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(logits, slope, rtol=1e-4, atol=1e-5)


def _compiled() -> Entropy:
    """As verl's engine has it. A call of its own makes sure that it compiles."""
    entropy: Entropy = torch.compile(_entropy, dynamic=True)
    with torch.no_grad(), torch.autocast("cuda", dtype=torch.bfloat16):
        entropy(torch.randn(64, 1000, dtype=torch.bfloat16, device="cuda"))
    return entropy


def _entropy(logits: torch.Tensor) -> torch.Tensor:
    shares = torch.nn.functional.softmax(logits, dim=-1)
    return torch.logsumexp(logits, dim=-1) - torch.sum(shares * logits, dim=-1)


def _portions(logits: torch.Tensor) -> list[slice]:
    rows, vocab = logits.shape
    size = max(1, PORTION // (4 * vocab))
    return [slice(first, first + size) for first in range(0, rows, size)]


def portioned_forward(
    logits: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    losses = torch.empty(len(logits), dtype=torch.float32, device=logits.device)
    sums = torch.empty_like(losses)
    for part in _portions(logits):
        values = logits[part].float()
        sums[part] = torch.logsumexp(values, dim=-1)
        losses[part] = sums[part] - values.gather(1, labels[part, None]).squeeze(1)
    return losses, sums


def portioned_backward(
    logits: torch.Tensor, labels: torch.Tensor, sums: torch.Tensor, slopes: torch.Tensor
) -> None:
    for part in _portions(logits):
        shares = logits[part].float().sub_(sums[part, None]).exp_()
        shares.scatter_add_(1, labels[part, None], torch.full_like(sums[part, None], -1.0))
        logits[part] = shares.mul_(slopes[part, None]).to(logits.dtype)


def portioned_entropy(logits: torch.Tensor) -> torch.Tensor:
    found = torch.empty(len(logits), dtype=torch.float32, device=logits.device)
    for part in _portions(logits):
        found[part] = _entropy(logits[part].float())
    return found
