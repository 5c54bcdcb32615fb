"""What FSDP, its optimizer and offloading add to the passes of one engine.

- A layer is gathered before its forward and again before its backward (where it is given back in
  between), in bf16, and its gradients are reduced in fp32 (verl's mixed precision). Both run beside
  the computing of the layers before and after; what is longer than that stands alone, and so do the
  first gather and the last reduction. NCCL's kernels take their part of the multiprocessors
  meanwhile: 0.15 of the hidden time is lost (24 of an H100's 132).
- All wait for the slowest card: those of one node differ by 5 % ("Machine Learning Engineering",
  744d01e), which is 2.8 deviations of eight, so 1.75 % is one. The slowest of n is as far from the
  mean as the largest of n normal numbers (Blom's formula).
- FSDP copies what it gathers out of one buffer (4 bytes a parameter) and gradients into another
  (6 bytes).
- AdamW's foreach kernels move 84 bytes a parameter and the clipping of the norm 12, counted in
  torch's ``_multi_tensor_adamw`` and ``clip_grad_norm_`` for fp32.
"""

from functools import lru_cache
from statistics import NormalDist

from compute.sizing.question import Engine
from compute.sizing.speed import kernels
from compute.sizing.speed.kernels import Card
from compute.sizing.speed.shapes import Shape

STOLEN = 0.15
DIFFERS = 0.0175
COPIED_OUT, COPIED_IN = 4, 6
STEPPED = 96
MOMENTS = 8  # bytes a parameter
HOST = 0.8  # of the way to the machine's memory, pinned
GATHERED, REDUCED = 2, 4


@lru_cache(maxsize=1024)
def slowest(cards: int) -> float:
    """How much longer the slowest of so many cards computes than a mean one."""
    return 1 + DIFFERS * max(0.0, NormalDist().inv_cdf((cards - 0.375) / (cards + 0.25)))


@lru_cache(maxsize=1 << 14)
def gathered(card: Card, shape: Shape, ranks: int, per_node: int) -> float:
    """Seconds of one layer's gather, and of the copy out of its buffer."""
    size = shape.total / (shape.depth + 1)
    copied = kernels.streamed(card, COPIED_OUT * size)
    return kernels.collective(card, GATHERED * size, ranks, per_node) + copied


@lru_cache(maxsize=1 << 14)
def reduced(card: Card, shape: Shape, ranks: int, per_node: int, copies: int) -> float:
    """Seconds of one layer's reduction, over the copies of the weights as well."""
    size = shape.total / (shape.depth + 1)
    inside = kernels.collective(card, REDUCED * size, ranks, per_node, "reduce_scatter")
    across = 2 * kernels.collective(card, REDUCED * size / ranks, copies, 1)
    return inside + across + kernels.streamed(card, COPIED_IN * size)


def beside(hidden: float, computing: float) -> float:
    """What communication of ``hidden`` seconds adds to a layer that computes for ``computing``."""
    return max(0.0, hidden - computing) + STOLEN * min(hidden, computing)


def forward_added(card: Card, shape: Shape, shards: int, layers: float, per_node: int) -> float:
    """What the gathers add to one forward pass, whose layers take ``layers`` seconds together."""
    if shards == 1:
        return 0.0
    gather = gathered(card, shape, shards, per_node)
    return gather + shape.depth * beside(gather, layers / shape.depth)


def back_added(
    card: Card,
    shape: Shape,
    shards: int,
    replicas: int,
    layers: float,
    per_node: int,
    reshards: bool,
    is_lora: bool,
) -> tuple[float, float]:
    """What gathers add to one backward pass, whose layers take ``layers`` seconds, and what gathers
    and reductions add together.

    With LoRA only the adapters' gradients are reduced, which is taken to cost nothing.
    """
    gather = gathered(card, shape, shards, per_node) if reshards and shards > 1 else 0.0
    each = layers / shape.depth
    quiet = shape.depth * beside(gather, each)
    if is_lora or shards * replicas == 1:
        return quiet, quiet
    reduce = reduced(card, shape, shards, per_node, replicas)
    return quiet, reduce + shape.depth * beside(gather + reduce, each)


def adapted(shape: Shape, rank: int) -> int:
    """Parameters of adapters of ``rank`` on every product of the layers: more than those on some,
    which costs the optimizer too little to tell apart."""
    return sum(layer.count * rank * (n + k) for layer in shape.layers for n, k, _ in layer.products)


@lru_cache(maxsize=1 << 12)
def stepped(card: Card, shape: Shape, shards: int, rank: int, is_offloaded: bool) -> float:
    """One optimizer step over all weights, or over adapters of ``rank``, and what it waits for
    where its moments lie in the machine's memory."""
    held = (adapted(shape, rank) if rank else shape.total) / shards
    seconds = kernels.streamed(card, STEPPED * held)
    if is_offloaded:
        seconds += 2 * MOMENTS * held / (card.gpu.host * HOST)
    return seconds


def loaded(card: Card, shape: Shape, engine: Engine) -> float:
    """Weights that come from the machine's memory before a phase and go back after it."""
    size = 4 if engine.master == "float32" else 2
    return 2 * size * shape.total / engine.shards / (card.gpu.host * HOST)
