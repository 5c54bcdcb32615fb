"""Count the answers of verl's V1 trainer that were cut: as long as one may be, without an end.

verl's own response_length/clip_ratio compares with the longest answer of the step, not with the
longest that is allowed, and does not ask how an answer ends.
"""

import functools
from collections.abc import Callable, Collection, Sequence
from types import ModuleType
from typing import Any

from trainyard_node.hooks import shape
from trainyard_node.hooks.tally import Tally

MODULE = "verl.trainer.ppo.v1.trainer_base"
METRIC = "training/answers_cut"
TALLY, ENDS = "_trainyard_cut", "_trainyard_ends"
TAKEN = ("self", "batch", "metrics", "timing_raw", "global_steps", "epoch")
Method = Callable[..., Any]


def attach(module: ModuleType) -> bool:
    """Count in each step. If verl differs, return False and log a line."""
    return shape.attached(lambda: _attach(module), "does not count answers that are cut")


def _attach(module: Any) -> None:
    trainer = module.PPOTrainer
    if hasattr(trainer, TALLY):
        return
    measure, fit = trainer._compute_metrics, trainer.fit
    shape.check(measure, TAKEN, ("tags", "partition_id", "keys", "kv_batch_get"))
    setattr(trainer, TALLY, None)

    @functools.wraps(measure)
    def compute_metrics(self: Any, batch: Any, metrics: Any, *args: Any, **kwargs: Any) -> Any:
        limit = int(self.config.actor_rollout_ref.rollout.response_length)
        longest = at_the_limit(batch.keys, batch.tags, limit)
        count = count_cut(_answers(module.tq, longest, batch.partition_id), _ends(self))
        metrics[METRIC] = count
        if (tally := getattr(self, TALLY)) is not None:
            of = sum(not tag.get("is_padding", False) for tag in batch.tags)
            tally.add(self.global_steps, count, of)
        return measure(self, batch, metrics, *args, **kwargs)

    @functools.wraps(fit)
    def closing(self: Any, *args: Any, **kwargs: Any) -> Any:
        limit = int(self.config.actor_rollout_ref.rollout.response_length)
        tally = Tally("answers_cut", f"answers were cut at {limit} tokens")
        setattr(self, TALLY, tally)
        try:
            return fit(self, *args, **kwargs)
        finally:
            tally.close()

    trainer._compute_metrics, trainer.fit = compute_metrics, closing


def at_the_limit(keys: Sequence[str], tags: Sequence[dict[str, Any]], limit: int) -> list[str]:
    """The answers that are as long as one may be. Padding is none."""
    return [
        key
        for key, tag in zip(keys, tags, strict=True)
        if not tag.get("is_padding", False) and int(tag.get("response_len") or 0) >= limit
    ]


def count_cut(answers: Sequence[Any], ends: Collection[int]) -> int:
    """How many do not end with one of the tokens that end an answer."""
    return sum(int(answer[-1]) not in ends for answer in answers)


def _answers(queue: Any, keys: list[str], partition: str) -> Sequence[Any]:
    if not keys:
        return ()
    found = queue.kv_batch_get(keys=keys, partition_id=partition, select_fields=["responses"])
    answers: Sequence[Any] = found["responses"].unbind(0)
    return answers


def _ends(trainer: Any) -> set[int]:
    """The tokens at which the rollout stops: the tokenizer's, and those of the model's folder."""
    known: set[int] | None = getattr(trainer, ENDS, None)
    if known is None:
        known = {trainer.tokenizer.eos_token_id, *_of_folder(trainer)} - {None}
        setattr(trainer, ENDS, known)
    return known


def _of_folder(trainer: Any) -> list[int]:
    from transformers import GenerationConfig

    try:
        path = trainer.config.actor_rollout_ref.model.path
        ends = GenerationConfig.from_pretrained(path).eos_token_id
    except (OSError, ValueError):
        return []
    return ends if isinstance(ends, list) else [ends]
