"""Triton's side of ``losses``: the cross entropy of flash-attn, which may not be installed.

As there, the forward pass reads each row once and keeps a number of it, and the backward pass
writes the gradient over the logits. Rows are logits of any float type, one row for each token.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# Triton reads annotations as types of its own, so its functions have none of Python's.

import torch
import triton
import triton.language as tl

BLOCK = 4096


@triton.jit
def _forward(logits, labels, losses, sums, stride, vocab, block: tl.constexpr):
    row = tl.program_id(0)
    start = logits + row.to(tl.int64) * stride
    top = -float("inf")
    total = 0.0
    for first in range(0, vocab, block):
        at = first + tl.arange(0, block)
        values = tl.load(start + at, mask=at < vocab, other=-float("inf")).to(tl.float32)
        higher = tl.maximum(top, tl.max(values, 0))
        total = total * tl.exp(top - higher) + tl.sum(tl.exp(values - higher), 0)
        top = higher
    whole = top + tl.log(total)
    label = tl.load(labels + row)
    tl.store(sums + row, whole)
    tl.store(losses + row, whole - tl.load(start + label).to(tl.float32))


@triton.jit
def _backward(logits, labels, sums, slopes, stride, vocab, block: tl.constexpr):
    row = tl.program_id(0)
    start = logits + row.to(tl.int64) * stride
    at = tl.program_id(1) * block + tl.arange(0, block)
    values = tl.load(start + at, mask=at < vocab, other=-float("inf")).to(tl.float32)
    shares = tl.exp(values - tl.load(sums + row))
    shares = tl.where(at == tl.load(labels + row), shares - 1.0, shares)
    slope = tl.load(slopes + row)
    tl.store(start + at, (shares * slope).to(logits.dtype.element_ty), mask=at < vocab)


def forward(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Losses and the logarithms of the sums of exponents, both in float32, for each row."""
    rows, vocab = logits.shape
    losses = torch.empty(rows, dtype=torch.float32, device=logits.device)
    sums = torch.empty_like(losses)
    _forward[(rows,)](logits, labels, losses, sums, logits.stride(0), vocab, BLOCK, num_warps=8)
    return losses, sums


def backward(
    logits: torch.Tensor, labels: torch.Tensor, sums: torch.Tensor, slopes: torch.Tensor
) -> None:
    """Writes the gradient over the logits; ``slopes`` are those of the losses, in float32."""
    rows, vocab = logits.shape
    grid = (rows, triton.cdiv(vocab, BLOCK))
    _backward[grid](
        logits, labels, sums, slopes.contiguous(), logits.stride(0), vocab, BLOCK, num_warps=8
    )
