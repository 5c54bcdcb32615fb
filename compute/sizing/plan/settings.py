"""The settings that a plan chooses, and what each makes of a question.

They have the names that the job form has for them. Values that verl would refuse are not offered.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from compute.sizing.plan.copies import replaced
from compute.sizing.plan.shapes import (
    longest_row,
    per_rank,
    with_answers_at_once,
    with_engines,
    with_rollout,
    with_tokens,
    with_trained,
)
from compute.sizing.question import Question

Value = str | int | float | bool

MOST_TOKENS = 1 << 16  # in a micro batch of one GPU: beyond it a GPU is busy, and gains nothing
PARALLEL = (1, 2, 4, 8)
SHARES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
AT_ONCE = (64, 128, 256, 512, 1024)


@dataclass(frozen=True)
class Setting:
    """``values`` are those that a question allows, ``read`` the one that it has, and ``put`` the
    question with another.

    One that ``samples`` is of the rollout alone: it changes and reads nothing that training goes
    by, and all others nothing of the rollout.
    """

    name: str
    label: str
    values: Callable[[Question], Iterable[Any]]
    read: Callable[[Question], Any]
    put: Callable[[Question, Any], Question]
    samples: bool = False


def settings_of(question: Question) -> tuple[Setting, ...]:
    """Those that this kind of job has, the ones that decide most first."""
    trained = (STRATEGY, SHARDS, WEIGHTS, OPTIMIZER, CHECKPOINTING, SEQUENCE_PARALLEL, TOKENS)
    if question.rollout is None:
        return trained
    if question.rollout.engine == "hf":
        return (*trained, LOG_PROB)
    return (*trained, TENSOR_PARALLEL, SHARE, SEQUENCES, LOG_PROB)


def chosen(question: Question) -> Mapping[str, Value]:
    """The value of each setting, by its name."""
    return {setting.name: setting.read(question) for setting in settings_of(question)}


def laid_out(question: Question) -> Question:
    """The question as its settings alone say it: critic and reference are laid out as the actor is,
    and packed micro batches are filled by tokens. Questions that are reached from it by ``put`` are
    told apart by their settings."""
    is_packed = question.actor.packed
    for setting in settings_of(question):
        if is_packed or setting not in (SEQUENCE_PARALLEL, TOKENS):
            question = setting.put(question, setting.read(question))
    return question


def _shards(question: Question) -> list[int]:
    """All GPUs, or those of one node with a copy of the weights in each (hybrid sharding)."""
    whole, node = question.gpus, question.per_node
    return [whole, node] if node < whole and whole % node == 0 else [whole]


def _sequence_parallel(question: Question) -> list[int]:
    """Divisors of the attention heads, within a node; verl packs sequences for it."""
    engines = [one for one in (question.actor, question.critic) if one]
    if not all(engine.packed for engine in engines):
        return [1]
    return [
        size
        for size in PARALLEL
        if question.gpus % size == 0
        and size <= question.per_node
        and all(engine.model.heads % size == 0 for engine in engines)
    ]


def _tokens(question: Question) -> list[int]:
    """From the longest row, which must fit into one micro batch, in doublings of 1,024."""
    least = -(-longest_row(question) // question.actor.sequence_parallel)
    if not question.actor.packed:
        return [per_rank(question)]
    found = [least]
    size = 1024
    while size <= MOST_TOKENS:
        if size > least:
            found.append(size)
        size *= 2
    return found


def _log_prob(question: Question) -> list[int]:
    """As many tokens as the update takes, or more: without gradients they take less memory."""
    if not question.actor.packed:
        return [question.log_prob_tokens]
    one = question.update.tokens
    return [one, 2 * one, 4 * one]


def _tensor_parallel(question: Question) -> list[int]:
    model, cards = question.actor.model, question.gpus
    return [
        size
        for size in PARALLEL
        if cards % size == 0 and size <= question.per_node and model.heads % size == 0
    ]


def _of_rollout(question: Question, name: str) -> Any:
    return getattr(question.rollout, name)


STRATEGY = Setting(
    "strategy", "Sharding", lambda question: ("fsdp2", "fsdp"),
    lambda question: question.actor.strategy,
    lambda question, value: with_engines(question, strategy=value),
)  # fmt: skip
SHARDS = Setting(
    "shards", "GPUs that share one copy of the weights", _shards,
    lambda question: question.actor.shards,
    lambda question, value: with_engines(
        question, shards=value, replicas=question.gpus // value
    ),
)  # fmt: skip
WEIGHTS = Setting(
    "param_offload", "Offload weights", lambda question: (False, True),
    lambda question: question.actor.param_offload,
    lambda question, value: with_trained(question, param_offload=value),
)  # fmt: skip
OPTIMIZER = Setting(
    "optimizer_offload", "Offload the optimiser", lambda question: (False, True),
    lambda question: question.actor.optimizer_offload,
    lambda question, value: with_trained(question, optimizer_offload=value),
)  # fmt: skip
CHECKPOINTING = Setting(
    "gradient_checkpointing", "Gradient checkpointing", lambda question: (True, False),
    lambda question: question.actor.checkpointing,
    lambda question, value: with_trained(question, checkpointing=value),
)  # fmt: skip
SEQUENCE_PARALLEL = Setting(
    "sequence_parallel", "Sequence parallelism", _sequence_parallel,
    lambda question: question.actor.sequence_parallel,
    lambda question, value: with_tokens(
        with_engines(question, sequence_parallel=value), per_rank(question)
    ),
)  # fmt: skip
TOKENS = Setting("max_tokens_per_gpu", "Tokens a GPU", _tokens, per_rank, with_tokens)
TENSOR_PARALLEL = Setting(
    "tensor_parallel", "Tensor parallelism", _tensor_parallel,
    lambda question: _of_rollout(question, "tensor_parallel"),
    lambda question, value: with_rollout(question, tensor_parallel=value), samples=True,
)  # fmt: skip
SHARE = Setting(
    "gpu_memory", "Memory share", lambda question: SHARES,
    lambda question: _of_rollout(question, "memory_share"),
    lambda question, value: with_rollout(question, memory_share=value), samples=True,
)  # fmt: skip
SEQUENCES = Setting(
    "max_num_seqs", "Sequences at once", lambda question: AT_ONCE,
    lambda question: _of_rollout(question, "most_sequences"), with_answers_at_once, samples=True,
)  # fmt: skip
LOG_PROB = Setting(
    "log_prob_tokens", "Tokens a GPU without gradients", _log_prob,
    lambda question: question.log_prob_tokens,
    lambda question, value: replaced(question, log_prob_tokens=value),
)  # fmt: skip
