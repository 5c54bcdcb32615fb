"""The settings of a plan in verl's words: values of knobs, and overrides where no knob is."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from compute.sizing.plan.settings import chosen
from compute.sizing.question import Question
from jobs.verl.algorithms import is_rl
from jobs.verl.effective import leaves
from jobs.verl.keys import ACTOR, REF, ROLLOUT
from jobs.verl.knobs import COMMAND, find, knobs_of
from jobs.verl.overrides import key_of, readable
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
    A free override of a key that the plan sets goes: verl would take it, of the critic alone too,
    in place of what the plan was worked out with.
    """
    values, overrides = values_of(spec, question), overrides_of(spec.kind, question)
    for name, value in (chosen(before) if before else {}).items():
        if values.get(name) == value and not _is_told(spec, name):
            values.pop(name)
    gone = {*_set_by_plan(spec.kind), *_keys_of(spec.kind, *values)}
    kept = tuple(line for line in spec.overrides if key_of(line) not in gone)
    return replace(
        spec,
        values={**spec.values, **values},
        overrides=(*kept, *(f"{key}={value}" for key, value in overrides.items())),
    )


def _is_told(spec: TrainSpec, name: str) -> bool:
    """Whether a plan says a setting even where it changes nothing: one that an override says now,
    and a number of tokens, which counts only where micro batches are filled by tokens, and which
    verl takes another of for the critic where nobody says one."""
    is_filled = spec.values.get("dynamic_batch") is True and spec.kind != "ppo"
    if name == "max_tokens_per_gpu" and not is_filled:
        return True
    return any(key_of(line) in _keys_of(spec.kind, name) for line in spec.overrides)


def still_beating(spec: TrainSpec, question: Question) -> Iterator[str]:
    """Free overrides of a whole node that beat a plan, each in a sentence: they set more than what
    the plan sets, so that they stay."""
    keys = {*_set_by_plan(spec.kind), *_keys_of(spec.kind, *values_of(spec, question))}
    for override in readable(spec.overrides):
        if isinstance(override.value, dict) and not override.removes:
            beaten = sorted(keys & leaves(override.key, override.value).keys())
            if beaten:
                yield (
                    f"The override of {override.key} beats the plan: it sets {', '.join(beaten)}. "
                    "Take that out of it."
                )


def _keys_of(kind: str, *names: str) -> set[str]:
    knobs = (find(kind, name) for name in names)
    return {key for knob in knobs if knob for key in knob.keys[kind]} - {COMMAND}


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
    if is_rl(kind) and question.actor.packed and question.log_prob_tokens != question.update.tokens:
        found |= dict.fromkeys(LOG_PROB_TOKENS, question.log_prob_tokens // together)
    return found


def _shard_keys(kind: str) -> tuple[str, ...]:
    if not is_rl(kind):
        return SHARDS["supervised"]
    return (*SHARDS["rl"], *(SHARDS["ppo"] if kind == "ppo" else ()))


def _set_by_plan(kind: str) -> set[str]:
    return {*_shard_keys(kind), *(LOG_PROB_TOKENS if is_rl(kind) else ())}
