"""Weights on their way: to the rollout engine after an update, and to disk.

- Colocated: verl gathers each tensor in fp32 from its shards, casts it and hands it to the engine.
  Its documentation (advance/fully_async.md) has 0.12 s for the 339 tensors of Qwen2.5-Math-7B and
  15.8 s for the 18,867 of Qwen3-30B-A3B on H20, beside the bytes: 0.35 ms a tensor.
- Waking the engine maps its memory again: half a second (assumed).
- A machine writes 2e9 bytes a second to its disk (assumed: an NVMe drive or a shared file system).
"""

from functools import lru_cache

from compute.sizing.memory.storage import checkpoint
from compute.sizing.question import Question
from compute.sizing.speed import kernels, sharding
from compute.sizing.speed.kernels import Card
from compute.sizing.speed.roofline import NETWORK
from compute.sizing.speed.shapes import Shape

TENSOR = 0.35e-3
TENSORS = 9  # of a dense layer: four of attention, three of the MLP, two norms
WAKES = 0.5
DISK = 2e9


@lru_cache(maxsize=4096)
def _sent(card: Card, shape: Shape, shards: int, per_node: int) -> float:
    tensors = sum(
        layer.count * (TENSORS + (3 * layer.mixture.count if layer.mixture else 0))
        for layer in shape.layers
    )
    gathered = kernels.collective(card, 4.0 * shape.total, shards, per_node)
    return tensors * TENSOR + gathered + kernels.streamed(card, 10.0 * shape.total) + WAKES


def synced(card: Card, question: Question, shape: Shape) -> float:
    """Seconds until the rollout engine has the new weights."""
    actor, rollout = question.actor, question.rollout
    seconds = _sent(card, shape, actor.shards, question.per_node)
    if actor.param_offload:
        seconds += sharding.loaded(card, shape, actor)
    if rollout and not rollout.colocated:
        seconds += 2 * shape.total / (question.gpu.network * NETWORK)
    return seconds


def saved(question: Question) -> float:
    """Seconds of saving for each step, spread over the steps between two checkpoints."""
    saving = question.saving
    if saving.every <= 0:
        return 0.0
    machines = max(1, question.gpus // max(1, question.per_node))
    return checkpoint(question) / machines / DISK / saving.every
