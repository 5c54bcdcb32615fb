"""The preference loss as verl's engine calls it: for one micro batch at a time."""

from typing import Any

import torch
from verl.utils import tensordict_utils

from trainyard_node.dpo.losses import Answers, Objective, pair_losses
from trainyard_node.dpo.sequences import answers_of


class PreferenceLoss:
    """The function for `TrainingWorker.set_loss_fn`. The data hold pairs as adjacent rows, with
    `reference` (log-probability under the reference) and `weight` for each row; `pair_count` is the
    number of pairs over all ranks and batches, over which the loss is a mean."""

    def __init__(self, objective: Objective) -> None:
        self._objective = objective

    def __call__(
        self, model_output: dict[str, torch.Tensor], data: Any, dp_group: Any = None
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """This micro batch's part of the mean loss and of the logged means.

        The engine adds up the losses of micro batches and takes the mean over ranks, as FSDP does
        with gradients; so the loss is multiplied by the number of ranks. Metrics are added up over
        both.
        """
        count = tensordict_utils.get_non_tensor_data(data, "pair_count", None)
        found = answers_of(model_output["log_probs"], data["loss_mask"])
        ratio = found.log_prob - data["reference"]
        chosen, rejected = (Answers(ratio[side::2], found.tokens[side::2]) for side in (0, 1))
        weight = data["weight"][::2]
        losses = pair_losses(self._objective, chosen, rejected) * weight
        metrics = self._metrics(found.log_prob.detach(), ratio.detach())
        parts = {name: float((each * weight).sum() / count) for name, each in metrics.items()}
        return losses.sum() / count * data["dp_size"], parts

    def _metrics(self, log_prob: torch.Tensor, ratio: torch.Tensor) -> dict[str, torch.Tensor]:
        # The implicit reward is beta * log-ratio of sums, whichever loss is used (as in TRL).
        reward, other = self._objective.beta * ratio[::2], self._objective.beta * ratio[1::2]
        return {
            "rewards/chosen": reward,
            "rewards/rejected": other,
            "rewards/accuracy": (reward > other).float(),
            "rewards/margin": reward - other,
            "logps/chosen": log_prob[::2],
            "logps/rejected": log_prob[1::2],
        }
