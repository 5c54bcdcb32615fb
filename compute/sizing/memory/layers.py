"""What a decoder layer holds of each token: saved for its backward pass, and while it works.

Bytes in the order of transformers' code, with flash attention 2 and, for experts, grouped products;
``tests.bench.tracker`` measures them.
"""

from dataclasses import dataclass
from functools import lru_cache

from compute.sizing.memory.adapters import adapted, elements
from compute.sizing.memory.shape import Shape, shape_of
from compute.sizing.question import Engine

BF16 = 2
FACTOR = 4  # of a norm, for each row
ROUTED = 40  # four indices of 8 bytes and the weight twice, for each row of an expert


@dataclass(frozen=True)
class Moment:
    """A moment of a layer's backward pass: what it holds of each token beside the input, and the
    elements of the layer's gradients that exist already."""

    name: str
    per_token: float
    gradients: float


@dataclass(frozen=True)
class Work:
    """``kept`` is what a layer keeps until its backward pass; ``input`` what that takes beside the
    moments, which is the layer's input with checkpointing. ``forward`` is what it holds at most
    without gradient, beyond its input. ``width`` is that of the computation in bytes, ``rope`` what
    the positions take, ``adapters`` the elements of one layer's."""

    width: int
    kept: float
    input: float
    forward: float
    rope: float
    adapters: float
    backward: tuple[Moment, ...]


@lru_cache(maxsize=8192)
def work_of(engine: Engine) -> Work:
    shape = shape_of(engine.model)
    width = 4 if engine.dtype == "float32" else BF16
    scale = width / BF16
    frozen = engine.lora is not None
    modules = adapted(engine.lora)
    saved = _attention(shape, frozen, modules) + _mlp(shape, frozen, modules)
    if engine.sequence_parallel > 1 and not (frozen and "o_proj" not in modules):
        saved += 2 * shape.queries  # what attention gave, before its exchange and after it
    if engine.lora:
        saved += 2 * engine.lora.rank * len(modules)
    moments = _moments(shape, saved, modules, frozen)
    return Work(
        width=width,
        kept=scale * (2 * shape.hidden if engine.checkpointing else saved),
        input=scale * 2 * shape.hidden if engine.checkpointing else 0,
        forward=scale * _forward(shape),
        rope=scale * 4 * shape.head_dim,
        adapters=elements(shape, engine.lora),
        backward=tuple(Moment(one.name, scale * one.per_token, one.gradients) for one in moments),
    )


def _attention(shape: Shape, frozen: bool, modules: frozenset[str]) -> float:
    """Both norms (an fp32 copy; its factor; the normalized, for a gradient of the norm's weight;
    the result, for one of the matrices that read it), queries, keys, values, the output and its
    sums."""
    saved = 4 * (shape.queries + shape.keys) + 4 * shape.heads
    norms = 2 * (8 * shape.hidden + FACTOR)
    between = 6 * (shape.queries + shape.keys)
    if frozen:
        read = modules & {"q_proj", "k_proj", "v_proj"}, modules & {"gate_proj", "up_proj"}
        norms = sum(FACTOR + 4 * shape.hidden + (2 * shape.hidden if one else 0) for one in read)
        between = 4 * (shape.queries + shape.keys)
    between += FACTOR * (shape.heads + shape.kv_heads)
    return saved + norms + (between if shape.qk_norm else 0)


def _mlp(shape: Shape, frozen: bool, modules: frozenset[str]) -> float:
    """Two projections, the activation and, for a gradient of the last matrix, the product."""
    saved = 8 * shape.intermediate
    if frozen and "down_proj" not in modules:
        saved -= 2 * shape.intermediate
    if not shape.experts:
        return saved
    # For each chosen expert its input and output too, where its rows stand, and the router's
    # probabilities in fp32.
    return shape.chosen * (saved + 4 * shape.hidden + ROUTED) + 4 * shape.experts


def _moments(
    shape: Shape, saved: float, modules: frozenset[str], frozen: bool
) -> tuple[Moment, ...]:
    hidden, inner = shape.hidden, shape.intermediate
    norm = Moment("first norm", 24 * hidden, 0 if frozen else shape.layer)
    between = (_second_norm(shape, frozen), _turned(shape, frozen))
    if not shape.experts:
        mlp = 6 if frozen and "down_proj" not in modules else 4
        return (Moment("mlp", saved + mlp * inner, 0 if frozen else hidden * inner), *between, norm)
    chosen, experts = shape.chosen, 0 if frozen else shape.experts * hidden * inner
    attention = saved - chosen * (8 * inner + 4 * hidden)
    # Gradients of the weighed rows: repeated, put back into the experts' order, and, in fp32, cast.
    joined = 3 * shape.weighed + (BF16 if shape.weighed > BF16 else 0)
    return (
        Moment("experts joined", saved + joined * hidden * chosen, 0),
        Moment("experts", saved + (4 * inner - 2 * hidden) * chosen, experts),
        Moment("experts read", attention + (4 * inner + 4 * hidden) * chosen, 3 * experts),
        *between,
        norm,
    )


def _second_norm(shape: Shape, frozen: bool) -> Moment:
    """The norm before the MLP: what both norms and attention saved, and five fp32 tensors."""
    saved = 4 * (shape.queries + shape.keys) + 4 * shape.heads + 3 * FACTOR
    normed = 6 * (shape.queries + shape.keys) if shape.qk_norm else 0
    done = 3 * shape.hidden * shape.intermediate * max(1, shape.experts)
    return Moment("second norm", saved + normed + 32 * shape.hidden, 0 if frozen else done)


def _turned(shape: Shape, frozen: bool) -> Moment:
    """Attention's own backward pass: what it and the norm before it saved, the residual's gradient,
    those of output, queries, keys and values, a sum in fp32 and, where heads share keys, the
    gradients of keys and values for each head."""
    queries, keys, heads = shape.queries, shape.keys, shape.heads
    saved = 8 * shape.hidden + 4 * (queries + keys) + 4 * heads
    wide = 4 * queries if shape.heads != shape.kv_heads else 0
    working = 2 * shape.hidden + 8 * queries + 4 * keys + 4 * heads + wide
    normed = 6 * (queries + keys) if shape.qk_norm else 0
    done = shape.layer - shape.hidden * (queries + 2 * keys)
    return Moment("attention", saved + normed + working, 0 if frozen else done)


def _forward(shape: Shape) -> float:
    """At the product of the MLP: two projections and it, beside the residual, the norm and the
    embedded tokens, which transformers holds all the time."""
    mlp = 6 * shape.hidden + 6 * shape.intermediate
    if shape.experts:
        # Or as the weighed rows are put back: inputs, outputs, and both orders of the weighed.
        rows = (4 + 2 * shape.weighed) * shape.hidden
        worked = 2 * shape.hidden + 8 * shape.intermediate
        mlp = 6 * shape.hidden + shape.chosen * max(worked, rows)
    attention = 4 * shape.hidden + 6 * (shape.queries + shape.keys)
    return max(mlp, attention, 14 * shape.hidden)
