"""The preference losses, in plain torch without verl.

A log-ratio is log pi(answer | prompt) - log pi_ref(answer | prompt), in nats, summed over the
answer's tokens; every tensor is (pairs,).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn.functional import logsigmoid


@dataclass(frozen=True)
class Objective:
    """A loss and its settings; `length_normalize` divides log-ratios by token counts."""

    loss_type: str = "sigmoid"
    beta: float = 0.1
    label_smoothing: float = 0.0
    length_normalize: bool = False

    def __post_init__(self) -> None:
        if self.loss_type not in LOSSES:
            raise ValueError(f"loss_type is {self.loss_type!r}; known: {', '.join(LOSSES)}")
        if not self.beta > 0:
            raise ValueError(f"beta is {self.beta}; it must be above 0")
        if not 0 <= self.label_smoothing < 0.5:
            raise ValueError(
                f"label_smoothing is {self.label_smoothing}; it must be at least 0 and below 0.5"
            )
        if self.label_smoothing and self.loss_type not in SMOOTHED:
            raise ValueError(
                f"loss_type {self.loss_type} takes no label smoothing; {' and '.join(SMOOTHED)} do"
            )


@dataclass(frozen=True)
class Answers:
    """One side of the pairs: log-ratios, and the number of tokens in each sum (at least 1)."""

    ratio: torch.Tensor
    tokens: torch.Tensor

    @property
    def mean_ratio(self) -> torch.Tensor:
        return self.ratio / self.tokens


def pair_losses(objective: Objective, chosen: Answers, rejected: Answers) -> torch.Tensor:
    """The loss of each pair, without reduction."""
    if objective.length_normalize or objective.loss_type == "ipo":
        margin = chosen.mean_ratio - rejected.mean_ratio
    else:
        margin = chosen.ratio - rejected.ratio
    return LOSSES[objective.loss_type](margin, objective)


def sigmoid_loss(margin: torch.Tensor, objective: Objective) -> torch.Tensor:
    """-log sigmoid(beta * margin): equation 7 of Rafailov et al. 2023, "Direct Preference
    Optimization" (arXiv 2305.18290).

    With label smoothing e it is the conservative DPO of Mitchell 2023, "A note on DPO with noisy
    preferences & relationship to IPO": the cross-entropy against 1 - e instead of 1.
    """
    right, wrong = _both_ways(margin, objective)
    return (1 - objective.label_smoothing) * right + objective.label_smoothing * wrong


def robust_loss(margin: torch.Tensor, objective: Objective) -> torch.Tensor:
    """The unbiased estimate of the DPO loss when a share e of the labels is flipped: Chowdhury et
    al. 2024, "Provably Robust DPO" (arXiv 2403.00409). The loss may be negative; e = 0 is plain
    DPO."""
    right, wrong = _both_ways(margin, objective)
    flipped = objective.label_smoothing
    return ((1 - flipped) * right - flipped * wrong) / (1 - 2 * flipped)


def hinge_loss(margin: torch.Tensor, objective: Objective) -> torch.Tensor:
    """max(0, 1 - beta * margin): the calibration loss of Zhao et al. 2023, "SLiC-HF" (arXiv
    2305.10425), on DPO's rewards as in Liu et al. 2024, "RSO" (arXiv 2309.06657)."""
    return torch.relu(1 - objective.beta * margin)


def ipo_loss(margin: torch.Tensor, objective: Objective) -> torch.Tensor:
    """(margin - 1 / (2 beta))^2: equation 17 of Azar et al. 2023, "A General Theoretical Paradigm
    to Understand Learning from Human Preferences" (arXiv 2310.12036); beta is its tau.

    The margin uses log-ratios per token: with sums, the target would depend on the answers' length.
    TRL does the same, on the advice of the paper's authors.
    """
    return (margin - 1 / (2 * objective.beta)) ** 2


def _both_ways(margin: torch.Tensor, objective: Objective) -> tuple[torch.Tensor, torch.Tensor]:
    """The losses with the label as it is, and with the label flipped."""
    return -logsigmoid(objective.beta * margin), -logsigmoid(-objective.beta * margin)


LOSSES: dict[str, Callable[[torch.Tensor, Objective], torch.Tensor]] = {
    "sigmoid": sigmoid_loss,
    "ipo": ipo_loss,
    "hinge": hinge_loss,
    "robust": robust_loss,
}
SMOOTHED = ("sigmoid", "robust")
