"""One micro batch through a model on one GPU: what its layers and its head compute.

Training runs transformers' eager code, so the element-wise kernels count (``Layer.streamed``), and
the CPU launches each kernel: a pass is never faster than its launches.

- Backward: two products for each of forward's; FlashAttention's backward makes 2.5 times the
  products (five in place of two) at 0.85 of forward's rate (Dao 2023); element-wise kernels move
  twice the bytes (a norm 72 an element in place of 36, counted as forward's).
- The head, in verl's path: logits in bf16 are divided by the temperature in place (4 bytes an
  entry), read by the fused cross entropy (2) and by the entropy (8, in chunks of fp32); backward
  reads and writes the gradient twice (8).
"""

from dataclasses import dataclass
from functools import lru_cache

from compute.sizing.speed import kernels
from compute.sizing.speed.kernels import Card
from compute.sizing.speed.shapes import Layer, Shape

ATTENTION_BACK = 2.5 / 0.85
STREAMED_BACK = 2.0
LAUNCHED = 6e-6  # seconds of the CPU for a kernel of eager PyTorch
LOGITS, LOGITS_ENTROPY, LOGITS_BACK = 6, 8, 8


@dataclass(frozen=True)
class Pass:
    """Seconds of computing on one GPU. ``back`` is towards the inputs, ``weights`` the products
    that give the weights their gradients, ``layers`` the part of ``forward`` before the head, which
    checkpointing computes again."""

    forward: float
    back: float
    weights: float
    layers: float


@lru_cache(maxsize=1 << 15)
def passed(
    card: Card, shape: Shape, rows: int, length: int, ways: int, is_value: bool, entropy: bool
) -> Pass:
    """``rows`` tokens on this GPU, of sequences of ``length``; ``ways`` GPUs share a sequence: each
    has ``1 / ways`` of the tokens outside attention and of the heads in it."""
    forward = back = weights = 0.0
    for layer in shape.layers:
        ahead, behind, own = _layer(card, shape, layer, rows, length, ways)
        forward += layer.count * ahead
        back += layer.count * behind
        weights += layer.count * own
    head = _head(card, shape, rows, is_value, entropy)
    return Pass(forward + head[0], back + head[1], weights + head[2], forward)


def _layer(
    card: Card, shape: Shape, layer: Layer, rows: int, length: int, ways: int
) -> tuple[float, float, float]:
    forward = back = weights = 0.0
    for n, k, _ in layer.products:
        forward += kernels.product(card, rows, n, k)
        back += kernels.product(card, rows, k, n)
        weights += kernels.product(card, n, k, rows)
    if mixture := layer.mixture:
        mixed = kernels.experts(
            card, rows, shape.hidden, mixture.width, mixture.per_token, mixture.count, 1
        )
        forward, back, weights = forward + mixed, back + mixed, weights + mixed
    seen = _attention(card, shape, rows, length, ways)
    moved = kernels.streamed(card, layer.streamed * rows)
    exchanged = _exchanged(card, shape, rows, ways)
    forward += seen + moved + exchanged
    back += ATTENTION_BACK * seen + STREAMED_BACK * moved + exchanged
    launched = LAUNCHED * layer.kernels
    return max(forward, launched), max(back, 2 * launched - weights), weights


def _attention(card: Card, shape: Shape, rows: int, length: int, ways: int) -> float:
    """A mean layer's: those with a window see no further than it."""
    heads = max(1, shape.heads // ways)
    kept = max(1, shape.kv_heads // ways)
    full = kernels.attention(card, rows * ways, length, heads, kept, shape.head_dim, True)
    if not shape.windowed or length <= shape.window:
        return full
    seen = 2 * shape.window
    near = kernels.attention(card, rows * ways, seen, heads, kept, shape.head_dim, True)
    part = shape.windowed / shape.depth
    return (1 - part) * full + part * min(near, full)


def _exchanged(card: Card, shape: Shape, rows: int, ways: int) -> float:
    """Ulysses: queries, keys, values and the output change between tokens and heads."""
    if ways == 1:
        return 0.0
    elements = (2 * shape.heads + 2 * max(shape.kv_heads, ways)) * shape.head_dim
    return kernels.collective(card, 2.0 * rows * elements, ways, ways)


def _head(
    card: Card, shape: Shape, rows: int, is_value: bool, entropy: bool
) -> tuple[float, float, float]:
    if is_value:
        read = kernels.streamed(card, 2.0 * rows * shape.hidden)
        return read, read, read
    vocab, hidden = shape.vocab, shape.hidden
    entries = float(rows * vocab)
    more = LOGITS_ENTROPY if entropy else 0
    forward = kernels.product(card, rows, vocab, hidden)
    forward += kernels.streamed(card, (LOGITS + more) * entries)
    back = kernels.product(card, rows, hidden, vocab)
    back += kernels.streamed(card, (LOGITS_BACK + more) * entries)
    return forward, back, kernels.product(card, vocab, hidden, rows)
