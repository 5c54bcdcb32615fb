"""Convert log-probabilities of tokens to those of answers: plain torch, no verl."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Sequences:
    """For each row, the answer's log-probability (nats, float32) and its number of tokens."""

    log_prob: torch.Tensor
    tokens: torch.Tensor


def answers_of(log_probs: torch.Tensor, loss_mask: torch.Tensor) -> Sequences:
    """Sum nested per-token log-probabilities over the answers.

    The engine's entry t is the log-probability of token t + 1, so the mask is shifted left by one;
    the last entry of a sequence belongs to no token of it.
    """
    offsets = loss_mask.offsets()
    counted = torch.roll(loss_mask.values(), -1).float()
    counted[offsets[1:] - 1] = 0
    numbers = torch.arange(len(offsets) - 1, device=offsets.device)
    rows = torch.repeat_interleave(numbers, offsets.diff())
    empty = torch.zeros(len(numbers), device=counted.device)
    # A product would not work: entries outside the mask may be infinite.
    values = torch.where(counted > 0, log_probs.values().float(), 0.0)
    return Sequences(empty.index_add(0, rows, values), empty.index_add(0, rows, counted))
