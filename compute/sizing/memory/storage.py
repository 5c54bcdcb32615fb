"""Host memory, Ray's object store, and checkpoints on disk."""

from functools import lru_cache

from compute.sizing.memory.step import WIDTH, step_of
from compute.sizing.question import Engine, Question

PROCESS = 4 << 30
"""Host memory of one training process: Python, torch and CUDA's libraries, rough."""
STORE_SHARE = 0.3
"""Ray's default share of a machine's memory for its object store."""


def checkpoint(question: Question) -> int:
    """One saved step."""
    engines = [question.actor, *([question.critic] if question.critic else [])]
    saved = [contents(engine) for engine in engines]
    return round(sum(one.get(name, 0) for one in saved for name in question.saving.contents))


def contents(engine: Engine) -> dict[str, float]:
    """Bytes of each part of an engine's checkpoint, as verl's FSDPCheckpointManager writes it: all
    weights with their adapters, moments of those alone that are trained, both from every GPU of
    every copy, and the weights once more, gathered. Each as wide as the optimizer has it."""
    step = step_of(engine, "one")
    weights = engine.shards * step.held
    # FSDP1 writes a matrix that embedding and output head share once for each of them.
    is_twice = engine.strategy == "fsdp" and step.tied and engine.head == "tokens"
    again = WIDTH[engine.master] * step.shape.embedding if is_twice else 0
    return {
        "model": engine.replicas * (weights + again),
        "optimizer": engine.replicas * engine.shards * 2 * step.trained,
        "hf_model": weights,
    }


def kept(question: Question) -> int | None:
    """Checkpoints that are on disk at once, one more than are kept while one is written; None where
    all are kept of a number of steps that is not known."""
    saving = question.saving
    if saving.every < 0:
        return 0
    if not saving.every:
        return 1
    # verl saves after the last step, whatever its number.
    made = None if saving.steps is None else -(-saving.steps // saving.every)
    most = saving.kept + 1 if saving.kept else None
    known = [count for count in (made, most) if count is not None]
    return min(known) if known else None


def host(question: Question) -> int:
    """One machine's memory: processes, and what is offloaded to it."""
    here = min(question.gpus, question.per_node)
    offloaded = sum(_offloaded(engine) for engine in _engines(question)) * here
    store = object_store(question) if question.algorithm not in ("sft", "dpo") else 0
    return round(here * PROCESS + offloaded + store)


def object_store(question: Question) -> int:
    """What Ray keeps of one step's rows: tokens, masks, positions and log-probabilities."""
    if question.algorithm in ("sft", "dpo"):
        return 0
    return 48 * question.rows * question.answers * question.lengths.longest


def _engines(question: Question) -> list[Engine]:
    wanted = (question.actor, question.reference, question.critic)
    return [engine for engine in wanted if engine is not None]


@lru_cache(maxsize=1 << 12)
def _offloaded(engine: Engine) -> float:
    step = step_of(engine, "one")
    weights = step.held if engine.param_offload else 0
    return weights + (2 * step.trained if engine.optimizer_offload else 0)
