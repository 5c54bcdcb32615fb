"""Phases that run in FSDP's engine: updates, and passes without gradient.

Their times are kept by plain numbers, not by the dataclasses of a question: to hash those would
cost more than the look-up.
"""

from functools import lru_cache

from compute.sizing.question import Engine, Question, Update
from compute.sizing.speed import sharding
from compute.sizing.speed.kernels import Card
from compute.sizing.speed.passes import passed
from compute.sizing.speed.shapes import Shape, shape_of


def updated(card: Card, question: Question, engine: Engine, update: Update, length: int) -> float:
    """Seconds of all optimizer steps that one training step makes with an engine.

    ``length`` is that of the sequences, in tokens.
    """
    shape, ways = shape_of(engine.model), engine.sequence_parallel
    rows = max(1, round(update.mean_tokens / ways))
    micro, last = _micro(
        card, shape, rows, length, ways, engine.shards, engine.replicas, question.per_node,
        engine.checkpointing, engine.reshards, engine.head == "value", update.entropy,
        engine.lora is not None, engine.dtype == "float32",
    )  # fmt: skip
    reductions = update.micro_batches if update.synced else 1
    rank = engine.lora.rank if engine.lora else 0
    stepped = sharding.stepped(card, shape, engine.shards, rank, engine.optimizer_offload)
    seconds = update.steps * (update.micro_batches * micro + reductions * last + stepped)
    return seconds + _loads(card, shape, engine)


@lru_cache(maxsize=1 << 14)
def _micro(
    card: Card, shape: Shape, rows: int, length: int, ways: int, shards: int, replicas: int,
    per_node: int, checkpointing: bool, reshards: bool, is_value: bool, entropy: bool,
    is_lora: bool, is_float32: bool,
) -> tuple[float, float]:  # fmt: skip
    """Seconds of one micro batch, and what reducing its gradients adds.

    float32 products run as TF32, at half the rate of bf16, and move twice the bytes.
    """
    slow = (2.0 if is_float32 else 1.0) * sharding.slowest(shards * replicas)
    done = passed(card, shape, rows, length, ways, is_value, entropy)
    layers = slow * done.layers
    back = slow * (done.back + (0.0 if is_lora else done.weights))
    back += layers if checkpointing else 0.0
    ahead = sharding.forward_added(card, shape, shards, layers, per_node)
    quiet, reducing = sharding.back_added(
        card, shape, shards, replicas, back, per_node, reshards, is_lora
    )
    return slow * done.forward + back + ahead + quiet, reducing - quiet


def scored(
    card: Card, question: Question, engine: Engine, length: int, tokens: float, most: int,
    entropy: bool,
) -> float:  # fmt: skip
    """A pass without gradient over all ``tokens`` of the step, in micro batches of ``most``."""
    shape, ways = shape_of(engine.model), engine.sequence_parallel
    seconds = _scored(
        card, shape, round(tokens / question.gpus), max(1, most // ways), length, ways,
        engine.shards, engine.replicas, question.per_node, engine.head == "value", entropy,
        engine.dtype == "float32",
    )  # fmt: skip
    return seconds + _loads(card, shape, engine)


@lru_cache(maxsize=1 << 14)
def _scored(
    card: Card, shape: Shape, each: int, most: int, length: int, ways: int, shards: int,
    replicas: int, per_node: int, is_value: bool, entropy: bool, is_float32: bool,
) -> float:  # fmt: skip
    """``each`` tokens on this GPU in micro batches of at most ``most``."""
    passes = max(1.0, each / most)
    slow = (2.0 if is_float32 else 1.0) * sharding.slowest(shards * replicas)
    done = passed(card, shape, max(1, round(each / passes)), length, ways, is_value, entropy)
    added = sharding.forward_added(card, shape, shards, slow * done.layers, per_node)
    return passes * (slow * done.forward + added)


def _loads(card: Card, shape: Shape, engine: Engine) -> float:
    return sharding.loaded(card, shape, engine) if engine.param_offload else 0.0
