"""Count the answers that were cut: as long as one may be, without an end. In both of verl's RL
trainers, the V1 and the former one.

verl's own response_length/clip_ratio compares with the longest answer of the step, not with the
longest that is allowed, and does not ask how an answer ends.
"""

import functools
from collections.abc import Callable, Collection, Sequence
from types import ModuleType
from typing import Any

from trainyard_node.hooks import shape
from trainyard_node.hooks.tally import Tally

MODULE, FORMER = "verl.trainer.ppo.v1.trainer_base", "verl.trainer.ppo.ray_trainer"
METRIC = "training/answers_cut"
TALLY, ENDS = "_trainyard_cut", "_trainyard_ends"
TAKEN = ("self", "batch", "metrics", "timing_raw", "global_steps", "epoch")
Method = Callable[..., Any]


CANNOT = "does not count answers that are cut"


def attach(module: ModuleType) -> bool:
    """Count in each step. If verl differs, return False and log a line."""
    return shape.attached(lambda: _attach(module), CANNOT)


def attach_to_former(module: ModuleType) -> bool:
    """The same in the former trainer, on which ReMax runs."""
    return shape.attached(lambda: _attach_to_former(module), CANNOT)


def _attach(module: Any) -> None:
    trainer = module.PPOTrainer
    if hasattr(trainer, TALLY):
        return
    measure = trainer._compute_metrics
    shape.check(measure, TAKEN, ("tags", "partition_id", "keys", "kv_batch_get"))

    @functools.wraps(measure)
    def compute_metrics(self: Any, batch: Any, metrics: Any, *args: Any, **kwargs: Any) -> Any:
        longest = at_the_limit(batch.keys, batch.tags, _limit(self))
        count = count_cut(_answers(module.tq, longest, batch.partition_id), _ends(self))
        of = sum(not tag.get("is_padding", False) for tag in batch.tags)
        metrics[METRIC] = count
        _add(self, count, of)
        return measure(self, batch, metrics, *args, **kwargs)

    trainer._compute_metrics = compute_metrics
    _tell_in(trainer)


def _attach_to_former(module: Any) -> None:
    trainer = module.RayPPOTrainer
    if hasattr(trainer, TALLY):
        return
    measure = module.compute_data_metrics
    shape.check(measure, ("batch", "use_critic"), ("batch",))
    shape.check(trainer.fit, ("self",), ("compute_data_metrics",))
    fitting: list[Any] = []  # the trainer whose steps are measured: the function is not told

    @functools.wraps(measure)
    def compute_data_metrics(batch: Any, *args: Any, **kwargs: Any) -> Any:
        found = measure(batch, *args, **kwargs)
        for one in fitting:
            answers = former_at_the_limit(batch.batch, _limit(one))
            found[METRIC] = count_cut(answers, _ends(one))
            _add(one, found[METRIC], len(batch.batch["responses"]))
        return found

    module.compute_data_metrics = compute_data_metrics
    _tell_in(trainer, fitting)


def _limit(trainer: Any) -> int:
    return int(trainer.config.actor_rollout_ref.rollout.response_length)


def _add(trainer: Any, count: int, of: int) -> None:
    if (tally := getattr(trainer, TALLY)) is not None:
        tally.add(trainer.global_steps, count, of)


def _tell_in(trainer: Any, fitting: list[Any] | None = None) -> None:
    """Tell by events of what the steps of `fit` count; while it goes on, it is in `fitting`."""
    fit = trainer.fit
    setattr(trainer, TALLY, None)

    @functools.wraps(fit)
    def closing(self: Any, *args: Any, **kwargs: Any) -> Any:
        tally = Tally("answers_cut", f"answers were cut at {_limit(self)} tokens")
        setattr(self, TALLY, tally)
        now = fitting if fitting is not None else []
        now.append(self)
        try:
            return fit(self, *args, **kwargs)
        finally:
            now.remove(self)
            tally.close()

    trainer.fit = closing


def at_the_limit(keys: Sequence[str], tags: Sequence[dict[str, Any]], limit: int) -> list[str]:
    """The answers that are as long as one may be. Padding is none."""
    return [
        key
        for key, tag in zip(keys, tags, strict=True)
        if not tag.get("is_padding", False) and int(tag.get("response_len") or 0) >= limit
    ]


def former_at_the_limit(batch: Any, limit: int) -> Sequence[Any]:
    """The same in the former trainer's tensors, of one row an answer, padded to the longest."""
    answers = batch["responses"]
    lengths = batch["attention_mask"][:, -answers.shape[-1] :].sum(-1)
    found: Sequence[Any] = answers[lengths >= limit][:, :limit]
    return found


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
