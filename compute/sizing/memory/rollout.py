"""What the engine that samples the answers takes of a card, and what it can hold."""

from compute.sizing.cache import cache_in, reserved
from compute.sizing.memory.overhead import ROLLOUT_WORKSPACE, SLEEPING
from compute.sizing.memory.shape import shape_of
from compute.sizing.question import Question, Rollout, Served

WIDTH = {"float32": 4, "bfloat16": 2, "float16": 2, "fp8": 1}
CACHED = {**WIDTH, "fp8": 2}  # weights in fp8 leave keys and values as they are


def one_row(question: Question, rollout: Rollout) -> int:
    """Bytes of keys, values and states of one row of the longest sort, on one card."""
    tokens = question.lengths.longest
    cache = cache_in(rollout.engine, question.actor.model)
    width, ways = CACHED[rollout.dtype], rollout.tensor_parallel
    if rollout.engine == "vllm":
        return reserved(cache, tokens, rollout.most_batched_tokens, ways, width)
    return round(cache.kept(tokens, ways, width))


def awake(question: Question, rollout: Rollout) -> dict[str, int]:
    """The rollout at work: it takes its share of the whole card, whatever it needs."""
    shape = shape_of(question.actor.model)
    weights = shape.total * WIDTH[rollout.dtype] / rollout.tensor_parallel
    if rollout.engine == "hf":
        sequences = question.rows * question.answers / question.gpus
        cache = sequences * one_row(question, rollout)
    else:
        cache = rollout.memory_share * question.gpu.memory - weights - ROLLOUT_WORKSPACE
    return {
        "weights": round(weights),
        "kv_cache": max(0, round(cache)),
        "overhead": ROLLOUT_WORKSPACE,
    }


def asleep(question: Question) -> int:
    """What a rollout on the actor's cards keeps while they train."""
    rollout = question.rollout
    if rollout is None or not rollout.colocated or rollout.engine == "hf":
        return 0
    if rollout.frees_cache:
        return SLEEPING
    return sum(awake(question, rollout).values())


def loaded(question: Question, rollout: Rollout) -> int:
    """Its own copy of the weights, on the actor's cards."""
    if not rollout.colocated:
        return 0
    return 2 * shape_of(question.actor.model).total // rollout.tensor_parallel


def served(question: Question, model: Served) -> dict[str, int]:
    """A reward model behind an engine of the rollout's kind, in its share of the card."""
    weights = 2 * shape_of(model.model).total / model.tensor_parallel
    cache = model.memory_share * question.gpu.memory - weights - ROLLOUT_WORKSPACE
    return {
        "weights": round(weights),
        "kv_cache": max(0, round(cache)),
        "overhead": ROLLOUT_WORKSPACE,
    }
