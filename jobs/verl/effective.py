"""The value that verl will use for a key: the user's, the method's, or verl's own default."""

import math
from collections.abc import Mapping
from typing import Any

from jobs.verl.algorithms import is_rl
from jobs.verl.keys import ACTOR, MODEL, REF, REWARD_MODEL, ROLLOUT
from jobs.verl.knobs import COMMAND, find, knobs_of
from jobs.verl.overrides import readable
from jobs.verl.spec import TrainSpec
from jobs.verl.variants import variant_of

FSDP = {
    "param_offload": False, "optimizer_offload": False, "reshard_after_forward": True,
    "fsdp_size": -1, "model_dtype": "fp32", "use_no_sync_for_gradient_accumulation": False,
    "ulysses_sequence_parallel_size": 1, "mixed_precision.param_dtype": "bfloat16",
}  # fmt: skip
_MODEL = {
    "enable_gradient_checkpointing": True, "enable_activation_offload": False,
    "use_remove_padding": True, "lora_rank": 0, "target_modules": "all-linear",
}  # fmt: skip
SUPERVISED: Mapping[str, Any] = {
    **{f"engine.{key}": value for key, value in FSDP.items()},
    **{f"model.{key}": value for key, value in _MODEL.items()},
    "engine.strategy": "fsdp", "data.train_batch_size": 256, "data.max_length": 1024,
    "data.micro_batch_size_per_gpu": 4, "data.max_token_len_per_gpu": 8192,
    # The platform says so: see jobs.verl.command.
    "data.use_dynamic_bsz": False,
    "checkpoint.save_contents": ("model", "optimizer", "extra"),
}  # fmt: skip
RL: Mapping[str, Any] = {
    **{f"{ACTOR}.fsdp_config.{key}": value for key, value in FSDP.items()},
    **{f"{REF}.fsdp_config.{key}": value for key, value in FSDP.items()},
    **{f"critic.fsdp.{key}": value for key, value in FSDP.items()},
    **{f"{MODEL}.{key}": value for key, value in _MODEL.items()},
    **{f"critic.model.{key}": value for key, value in _MODEL.items()},
    f"{ACTOR}.strategy": "fsdp", "critic.strategy": "fsdp", "data.train_batch_size": 1024,
    "data.max_prompt_length": 512, "data.max_response_length": 512,
    f"{ACTOR}.ppo_mini_batch_size": 256, f"{ACTOR}.ppo_epochs": 1,
    f"{ACTOR}.use_dynamic_bsz": False, f"{ACTOR}.ppo_max_token_len_per_gpu": 16384,
    f"{ACTOR}.ppo_micro_batch_size_per_gpu": 1, f"{ACTOR}.ulysses_sequence_parallel_size": 1,
    f"{ACTOR}.entropy_coeff": 0, f"{ACTOR}.use_kl_loss": False, "algorithm.use_kl_in_reward": False,
    f"{ACTOR}.checkpoint.save_contents": ("model", "optimizer", "extra"),
    f"{ROLLOUT}.temperature": 1.0,
    f"{ROLLOUT}.name": "vllm", f"{ROLLOUT}.n": 1, f"{ROLLOUT}.tensor_model_parallel_size": 2,
    f"{ROLLOUT}.gpu_memory_utilization": 0.5, f"{ROLLOUT}.max_num_seqs": 256,
    f"{ROLLOUT}.max_num_batched_tokens": 8192, f"{ROLLOUT}.enforce_eager": False,
    f"{ROLLOUT}.free_cache_engine": True, f"{ROLLOUT}.dtype": "bfloat16",
    f"{ROLLOUT}.nnodes": 0, f"{ROLLOUT}.log_prob_micro_batch_size_per_gpu": 1,
    f"{REWARD_MODEL}.rollout.tensor_model_parallel_size": 1,
    f"{REWARD_MODEL}.rollout.gpu_memory_utilization": 0.5, "trainer.v1.trainer_mode": "sync",
    "critic.fsdp.use_dynamic_bsz": False, "critic.ppo_infer_max_token_len_per_gpu": 32768,
}  # fmt: skip


class QuestionError(ValueError):
    """No estimate can be made of a job. ``field`` is the knob or key that is wrong, or empty."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class Effective:
    """What verl uses for a key of a spec's kind, as the newest release names it."""

    def __init__(self, spec: TrainSpec) -> None:
        self.kind = spec.kind
        defaults = RL if is_rl(spec.kind) else SUPERVISED
        self.values: dict[str, Any] = {**defaults, **_of_method(spec), **_of_knobs(spec)}
        for override in readable(spec.overrides):
            if not override.removes:
                self.values |= leaves(override.key, override.value)

    def get(self, key: str) -> Any:
        """None where nobody sets it and verl has no default."""
        return self.values.get(key)

    def flag(self, key: str) -> bool:
        return self.get(key) is True

    def whole(self, key: str, least: int = 1, most: int = 1 << 31) -> int:
        """Raises ``QuestionError``."""
        value = self.get(key)
        if type(value) is not int or not least <= value <= most:
            raise QuestionError(
                f"{key} is {value!r}: the estimate takes a whole number from {least} to {most:,}.",
                self.field(key),
            )
        return value

    def share(self, key: str) -> float:
        """Above 0, at most 1. Raises ``QuestionError``."""
        value = self.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
            raise QuestionError(f"{key} is {value!r}: write a share of 1.", self.field(key))
        return float(value)

    def positive(self, key: str) -> float:
        """A number above 0. Raises ``QuestionError``."""
        value = self.get(key)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not 0 < value < math.inf:
            raise QuestionError(f"{key} is {value!r}: write a number above 0.", self.field(key))
        return float(value)

    def word(self, key: str, allowed: tuple[str, ...]) -> str:
        """Raises ``QuestionError``."""
        value = str(self.get(key))
        if value not in allowed:
            known = ", ".join(allowed)
            raise QuestionError(
                f"{key} is {value}: the estimate knows {known} only.", self.field(key)
            )
        return value

    def words(self, key: str) -> tuple[str, ...]:
        """A list, as a knob writes it or as Hydra reads it. Raises ``QuestionError``."""
        value = self.get(key)
        if isinstance(value, str):
            value = value.strip("[]").split(",")
        if not isinstance(value, list | tuple | None):
            raise QuestionError(f"{key} is {value!r}: write a list.", self.field(key))
        return tuple(str(word).strip() for word in value or () if str(word).strip())

    def field(self, key: str) -> str:
        """The knob that sets a key, or the key."""
        knob = find(self.kind, key)
        return knob.name if knob else key


def leaves(key: str, value: Any) -> dict[str, Any]:
    """The keys that an override sets, which may give a whole node as ``{a: 1, b: {c: 2}}``."""
    if not isinstance(value, dict):
        return {key: value}
    found: dict[str, Any] = {}
    for name, inner in value.items():
        found |= leaves(f"{key}.{name}", inner)
    return found


def _of_method(spec: TrainSpec) -> Mapping[str, Any]:
    name = spec.values.get("variant")
    variant = variant_of(spec.kind, name)
    return variant.settings if variant else {}


def _of_knobs(spec: TrainSpec) -> dict[str, Any]:
    return {
        key: value
        for knob in knobs_of(spec.kind)
        if (value := spec.values.get(knob.name)) not in (None, "")
        for key in knob.keys[spec.kind]
        if key != COMMAND
    }
