"""Add the parts of a dict reward to the rollout record, where verl's V1 trainer omits them, and
what else the record lacks: tokens and advantages.

verl 0.9.1 keeps the function's result (its TransferQueue holds it until the step is over), and
writes it to validation/<step>.jsonl but not to rollouts/<step>.jsonl. Here the trainer's own method
that writes both files also gets the parts. If verl differs from what this expects, it stays
unchanged, and the log says so.
"""

import functools
import inspect
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from trainyard_node.imports import when_imported
from trainyard_node.rewards.counts import FIELDS, counts
from trainyard_node.rewards.plain import plain

MODULE = "verl.trainer.ppo.v1.trainer_base"
PARAMETERS = ("self", "inputs", "outputs", "gts", "scores", "reward_extra_infos_dict", "dump_path")
TAKEN = ("input", "output", "gts", "score", "step", "uid")  # names that verl itself uses in a line
PARTITION = "train"


def install() -> None:
    """Keep the parts once the trainer's module is imported; this call imports nothing of verl."""
    when_imported(MODULE, keep_parts)


def keep_parts(module: ModuleType) -> bool:
    """Wrap the trainer's writing method. If verl differs, return False and log a line."""
    try:
        trainer = module.PPOTrainer
        original = trainer._dump_generations
        if hasattr(original, "__keeps_parts__"):
            return True
        found = tuple(inspect.signature(original).parameters)
        if found != PARAMETERS:
            raise AttributeError(f"_dump_generations takes {found}")
        batch_get = module.tq.kv_batch_get
    except AttributeError as error:
        _say(f"this verl writes its rollouts in another way ({error})")
        return False
    trainer._dump_generations = _wrapped(original, batch_get)
    return True


def _wrapped(original: Any, batch_get: Any) -> Any:
    @functools.wraps(original)
    def dump_generations(self: Any, *args: Any, **kwargs: Any) -> Any:
        infos = kwargs.get("reward_extra_infos_dict")
        # Validation brings its parts along; a rollout brings only the keys of its samples.
        if infos is not None and set(infos) == {"uid"}:
            kwargs["reward_extra_infos_dict"] = _with_parts(infos, batch_get)
        return original(self, *args, **kwargs)

    dump_generations.__keeps_parts__ = True  # type: ignore[attr-defined]
    return dump_generations


def _with_parts(infos: dict[str, list[Any]], batch_get: Any) -> dict[str, list[Any]]:
    """The parts first, and what they may not take the place of after them."""
    return {
        **_asked("the parts of the rewards", _parts_of, infos["uid"], batch_get),
        **_asked("tokens and advantages", _counts_of, infos["uid"], batch_get),
        **infos,
    }


def _asked(what: str, ask: Any, keys: list[Any], batch_get: Any) -> dict[str, list[Any]]:
    try:
        found: dict[str, list[Any]] = ask(keys, batch_get)
        return found
    except Exception as error:  # a record without them is better than a failed run
        _say_once(f"{type(error).__name__}: {error}", what)
        return {}


def _parts_of(keys: list[Any], batch_get: Any) -> dict[str, list[Any]]:
    data = batch_get(keys=keys, partition_id=PARTITION, select_fields=["extra_fields"])
    fields = data.pop("extra_fields").tolist()
    return columns([field.get("reward_extra_info") or {} for field in fields])


def _counts_of(keys: list[Any], batch_get: Any) -> dict[str, list[Any]]:
    return counts(batch_get(keys=keys, partition_id=PARTITION, select_fields=[*FIELDS]))


def columns(rewards: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """One list for each part, None where a reward lacks it, without names that verl uses."""
    names = dict.fromkeys(name for reward in rewards for name in reward if name not in TAKEN)
    return {str(name): [plain(reward.get(name)) for reward in rewards] for name in names}


@functools.cache
def _say_once(reason: str, what: str) -> None:
    _say(reason, what)


def _say(reason: str, what: str = "the parts of the rewards") -> None:
    verb = "are not in the rollout record"
    print(f"trainyard_node: {what} {verb}: {reason}", file=sys.stderr, flush=True)
