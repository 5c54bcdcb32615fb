"""The settings of a plan in verl's words: values of knobs, and overrides where no knob is."""

from collections.abc import Mapping
from dataclasses import replace

from compute.sizing.plan.settings import chosen
from compute.sizing.question import Question
from jobs.verl.algorithms import is_rl
from jobs.verl.keys import ACTOR, REF, ROLLOUT
from jobs.verl.knobs import knobs_of
from jobs.verl.spec import TrainSpec, Value

LOG_PROB_TOKENS = (
    f"{ROLLOUT}.log_prob_max_token_len_per_gpu", f"{REF}.log_prob_max_token_len_per_gpu",
)  # fmt: skip
# The override in whose row a setting is told that has no knob.
TOLD_AT = {
    "log_prob_tokens": (f"{ROLLOUT}.log_prob_max_token_len_per_gpu",),
    "shards": (f"{ACTOR}.fsdp_config.fsdp_size", "engine.fsdp_size"),
}
SHARDS = {
    "rl": (f"{ACTOR}.fsdp_config.fsdp_size", f"{REF}.fsdp_config.fsdp_size"),
    "ppo": ("critic.fsdp.fsdp_size",),
    "supervised": ("engine.fsdp_size",),
}


def with_plan(spec: TrainSpec, question: Question, before: Question | None = None) -> TrainSpec:
    """The spec with the settings of a planned question, and all else as it was.

    What is as in the question ``before``, that of the spec itself, stays unset where it was unset.
    """
    values, overrides = values_of(spec, question), overrides_of(spec.kind, question)
    for name, value in (chosen(before) if before else {}).items():
        if values.get(name) == value and name not in _anew(spec):
            values.pop(name)
    kept = tuple(line for line in spec.overrides if _key(line) not in _set_by_plan(spec.kind))
    return replace(
        spec,
        values={**spec.values, **values},
        overrides=(*kept, *(f"{key}={value}" for key, value in overrides.items())),
    )


def _anew(spec: TrainSpec) -> tuple[str, ...]:
    """A number of tokens counts only where micro batches are filled by tokens."""
    return () if spec.values.get("dynamic_batch") is True else ("max_tokens_per_gpu",)


def values_of(spec: TrainSpec, question: Question) -> dict[str, Value]:
    """The values of knobs. Micro batches are filled by tokens where sequences are packed."""
    settings = dict(chosen(question))
    if not question.actor.packed:
        settings.pop("max_tokens_per_gpu", None)
    else:
        settings["dynamic_batch"] = True
    settings["gpus"] = question.gpus
    lengths = question.lengths
    settings["max_length"] = lengths.longest_prompt
    if is_rl(spec.kind):
        settings["max_response_length"] = lengths.longest_answer
    if question.actor.lora:
        rank = question.actor.lora.rank
        settings |= {"lora_rank": rank, "lora_alpha": spec.values.get("lora_alpha") or rank}
    known = {knob.name for knob in knobs_of(spec.kind)}
    return {name: value for name, value in settings.items() if name in known}


def overrides_of(kind: str, question: Question) -> Mapping[str, Value]:
    """The overrides by their key: hybrid sharding, and tokens without gradients."""
    found: dict[str, Value] = {}
    if question.actor.shards != question.gpus:
        found |= dict.fromkeys(_shard_keys(kind), question.actor.shards)
    together = question.actor.sequence_parallel
    if is_rl(kind) and question.actor.packed and question.log_prob_tokens > question.update.tokens:
        found |= dict.fromkeys(LOG_PROB_TOKENS, question.log_prob_tokens // together)
    return found


def _shard_keys(kind: str) -> tuple[str, ...]:
    if not is_rl(kind):
        return SHARDS["supervised"]
    return (*SHARDS["rl"], *(SHARDS["ppo"] if kind == "ppo" else ()))


def _set_by_plan(kind: str) -> set[str]:
    return {*_shard_keys(kind), *(LOG_PROB_TOKENS if is_rl(kind) else ())}


def _key(line: str) -> str:
    return line.partition("=")[0].strip().lstrip("+~")
