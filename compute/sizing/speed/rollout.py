"""How long a rollout takes: prefill of the prompts, then decoding until the last answer ends.

Each replica of the engine (``tensor_parallel`` GPUs) gets its share of the answers and keeps as
many running as its KV cache and ``max_num_seqs`` allow. While some wait, the batch is full; then it
shrinks as answers end, by the distribution of their lengths. Decoding is summed at a few points of
that last stretch (Simpson's rule).
"""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil

from compute.sizing.cache import Cache
from compute.sizing.question import Lengths, Rollout
from compute.sizing.speed import kernels
from compute.sizing.speed.kernels import Card
from compute.sizing.speed.lengths import Spread, spread
from compute.sizing.speed.shapes import Shape, split

STEP = 1.5e-3  # seconds of vLLM's own work for a step: scheduling, sampling, reading tokens back
STEP_EACH = 6e-6  # and for each running sequence
EAGER_LAYER = 0.3e-3  # seconds of the CPU for a layer without CUDA graphs (assumed)
FUSED = 0.25  # of the bytes that eager code moves: each value is read and written once
GRAPH_KERNELS = 14  # of a fused vLLM layer
GRAPH_LAUNCH = 2e-6  # between kernels of a CUDA graph
WORKSPACE = 2 << 30  # bytes of activations, graphs and NCCL, beside weights and cache
KEPT_WIDTH = 2  # bytes of each key and value
SAMPLED = 20  # bytes for each logit: cast to fp32, softmax, sort or top-p
WEIGHTS = (1, 4, 2, 4, 2, 4, 2, 4, 1)  # Simpson's, at nine points of equal distance


@dataclass(frozen=True)
class Sampled:
    """Seconds, and how many sequences a replica runs at once."""

    prefill: float
    decode: float
    running: int

    @property
    def seconds(self) -> float:
        return self.prefill + self.decode


def sampled(
    card: Card,
    shape: Shape,
    rollout: Rollout,
    lengths: Lengths,
    prompts: int,
    answers: int,
    gpus: int,
    per_node: int,
) -> Sampled:
    """All answers to ``prompts`` prompts, ``answers`` each, on ``gpus`` GPUs, of which ``per_node``
    are in one machine: a replica of more sums its products over the network."""
    ways = max(1, rollout.tensor_parallel)
    replicas = max(1, gpus // ways)
    each = ceil(prompts * answers / replicas)
    room = _room(card, shape, rollout, ways)
    needed = _row(shape.caches[rollout.engine], lengths, answers, ways)
    running = max(1, min(rollout.most_sequences, each, int(room / needed)))
    eager = rollout.eager or rollout.engine == "hf"
    prompt = round(lengths.prompt)
    rows = min(rollout.most_batched_tokens, round(prompts / replicas * prompt))
    is_fp8 = rollout.dtype == "fp8"
    chunk = filled(card, shape, max(1, rows), max(1, prompt), ways, per_node, eager, is_fp8)
    answer = spread(lengths.answer, lengths.longest_answer)
    decode = _decode(
        card, shape, answer, prompt, each, running, ways, per_node, eager, is_fp8, prompts * answers
    )
    return Sampled(chunk * prompts / replicas * prompt / max(1, rows), decode, running)


def _room(card: Card, shape: Shape, rollout: Rollout, ways: int) -> float:
    """Bytes of each card of a replica that its KV cache has."""
    size = 1 if rollout.dtype == "fp8" else 2
    return rollout.memory_share * card.gpu.memory - WORKSPACE - size * shape.total / ways


def _row(cache: Cache, lengths: Lengths, answers: int, ways: int) -> float:
    """Bytes that a running sequence needs of it: those of its answer and, in layers that see all
    tokens, its part of a prompt that it shares with the other answers to it."""
    prompt = lengths.prompt
    shared = (1 - 1 / answers) * cache.full * cache.of_token(ways, KEPT_WIDTH) * prompt
    return cache.kept(prompt + lengths.answer / 2 + 1, ways, KEPT_WIDTH) - shared


@lru_cache(maxsize=1 << 14)
def filled(
    card: Card, shape: Shape, rows: int, length: int, ways: int, per_node: int, eager: bool,
    is_fp8: bool,
) -> float:  # fmt: skip
    """One forward pass of the engine over ``rows`` tokens of prompts of ``length``."""
    heads, kept = max(1, shape.heads // ways), max(1, shape.kv_heads // ways)
    seen = kernels.attention(card, rows, length, heads, kept, shape.head_dim, False)
    return _dense(card, shape, rows, ways, per_node, eager, is_fp8, False) + shape.depth * seen


@lru_cache(maxsize=1 << 14)
def _decode(
    card: Card, shape: Shape, answer: Spread, prompt: int, each: int, running: int, ways: int,
    per_node: int, eager: bool, is_fp8: bool, all_answers: int,
) -> float:  # fmt: skip
    def step(batch: int, context: int) -> float:
        return _step(card, shape, batch, context, ways, per_node, eager, is_fp8)

    seconds = 0.0
    if each > running:
        steps = (each - running) * answer.mean / running
        age = answer.square / (2 * max(answer.mean, 1e-9))
        seconds = steps * step(running, round(prompt + age))
    end = answer.end(all_answers)
    total = 0.0
    for point, weight in enumerate(WEIGHTS):
        at = end * point / (len(WEIGHTS) - 1)
        alive = answer.alive(min(at, 0.999 * answer.longest))
        batch = max(1, round(min(each, running) * alive))
        total += weight * step(batch, round(prompt + at))
    return seconds + end * total / sum(WEIGHTS)


@lru_cache(maxsize=1 << 16)
def _step(
    card: Card, shape: Shape, batch: int, context: int, ways: int, per_node: int, eager: bool,
    is_fp8: bool,
) -> float:  # fmt: skip
    """One token for each of ``batch`` sequences with ``context`` tokens behind them."""
    seen = _seen(card, shape, batch, context, ways)
    if shape.windowed and context > shape.window:
        part = shape.windowed / shape.depth
        seen = (1 - part) * seen + part * _seen(card, shape, batch, shape.window, ways)
    own = STEP + STEP_EACH * batch
    dense = _dense(card, shape, batch, ways, per_node, eager, is_fp8, True)
    return dense + shape.depth * seen + own


def _seen(card: Card, shape: Shape, batch: int, context: int, ways: int) -> float:
    """Attention of one layer."""
    if shape.is_latent:
        return kernels.decode_latent(card, batch, context, shape.caches["vllm"].token)
    heads, kept = max(1, shape.heads // ways), max(1, shape.kv_heads // ways)
    return kernels.decode(card, batch, context, heads, kept, shape.head_dim)


@lru_cache(maxsize=1 << 15)
def _dense(
    card: Card, shape: Shape, rows: int, ways: int, per_node: int, eager: bool, is_fp8: bool,
    samples: bool,
) -> float:  # fmt: skip
    """All but attention of a forward pass of the engine over ``rows`` tokens."""
    seconds = 0.0
    for layer, products in zip(shape.layers, split(shape, ways), strict=True):
        one = sum(kernels.product(card, rows, n, k, is_fp8) for n, k, _ in products)
        if mixture := layer.mixture:
            one += kernels.experts(
                card, rows, shape.hidden, mixture.width, mixture.per_token, mixture.count, ways
            )
        one += kernels.streamed(card, FUSED * layer.streamed * rows / ways)
        one += 2 * _summed(card, 2.0 * rows * shape.hidden, ways, per_node)
        one += GRAPH_KERNELS * GRAPH_LAUNCH
        seconds += layer.count * (max(one, EAGER_LAYER) if eager else one)
    if samples:
        seconds += kernels.product(card, rows, ceil(shape.vocab / ways), shape.hidden)
        seconds += kernels.streamed(card, float(SAMPLED) * rows * shape.vocab)
    return seconds


def _summed(card: Card, size: float, ways: int, per_node: int) -> float:
    return kernels.collective(card, size, ways, per_node, "all_reduce") if ways > 1 else 0.0
