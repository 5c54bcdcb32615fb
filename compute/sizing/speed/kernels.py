"""What a kernel takes on a card, in seconds: from measured tables where the card has them, else
from the roofline. Each shape is worked out once and kept.

Tables were measured on short runs of one kernel, so two limits are held against them:

- no product is faster than the best that a card held over a hundred (``roofline.ACHIEVED``);
- the clock that a lower power limit allows: power beyond a fifth of the limit (leakage, memory)
  goes with the cube of the clock, so 500 W in place of 700 leave 0.86 of it.

Training attends with FlashAttention-2, engines with what is fastest on the card: see
``roofline.FLASH_2``.
"""

from dataclasses import dataclass
from functools import lru_cache

from compute.sizing.gpus import Gpu, catalogue
from compute.sizing.speed import roofline
from compute.sizing.speed.tables import Heads, Tables, measured, nearest

KEPT = 1 << 16
CARDS = 512
# Cards with the chip of another, whose tables they share.
SAME_CHIP = {
    "a100-40g": "a100-80g", "a800-80g": "a100-80g", "h800-80g": "h100-80g",
    "rtx-pro-6000-ws": "rtx-pro-6000",
}  # fmt: skip
IDLE = 0.2


@dataclass(frozen=True, eq=False)
class Card:
    """A GPU as a cheap key of caches: hashed by identity, one for each ``Gpu``.

    ``tables`` are those of the card ``like`` it. ``clock`` is how fast it runs by its power limit,
    of what its kind runs.
    """

    gpu: Gpu
    like: Gpu
    tables: Tables | None
    clock: float


@lru_cache(maxsize=CARDS)
def card_of(gpu: Gpu) -> Card:
    slug = SAME_CHIP.get(gpu.slug, gpu.slug)
    like = catalogue().get(slug, gpu)
    usual = catalogue().get(gpu.slug, gpu)
    return Card(gpu, like, measured(slug), _clock(gpu.power, usual.power))


def _clock(limit: float, usual: float) -> float:
    if not 0 < limit < usual:
        return 1.0
    return float(max((limit - IDLE * usual) / (usual - IDLE * usual), 0.05) ** (1 / 3))


@lru_cache(maxsize=KEPT)
def product(card: Card, rows: int, n: int, k: int, is_fp8: bool = False) -> float:
    """``rows`` of ``k`` elements, in bf16 or fp8, by a matrix of ``n`` columns."""
    gpu, size = card.gpu, 1 if is_fp8 else 2
    table = card.tables.products.get("fp8" if is_fp8 else "bf16") if card.tables else None
    if table is None:
        return roofline.product(gpu, rows, n, k, size) / card.clock
    taken = table.seconds(rows, n, k)
    least = roofline.fastest(gpu, rows, n, k, size)
    return max(max(taken, least) / card.clock, roofline.read(gpu, rows, n, k, size))


@lru_cache(maxsize=KEPT)
def attention(
    card: Card, rows: int, length: int, heads: int, kv_heads: int, head_dim: int, trains: bool
) -> float:
    """Causal self-attention forward of ``rows`` tokens in sequences of ``length``."""
    flash = roofline.attention(card.gpu, rows, length, heads, head_dim, trains) / card.clock
    if not card.tables:
        return flash
    known = _like_heads(card, "prefill", head_dim, heads, kv_heads)
    wider = heads * head_dim / (known[0] * known[1])
    batch = rows / length
    taken = card.tables.prefill[known].seconds(max(1.0, batch), length) * wider / card.clock
    taken *= min(1.0, batch)
    return max(taken, flash) if trains else taken


@lru_cache(maxsize=1024)
def _like_heads(card: Card, table: str, head_dim: int, heads: int, kv_heads: int) -> Heads:
    return nearest(getattr(card.tables, table), head_dim, heads, kv_heads)


@lru_cache(maxsize=KEPT)
def decode(card: Card, batch: int, context: int, heads: int, kv_heads: int, head_dim: int) -> float:
    """Attention of a new token for each of ``batch`` sequences with ``context`` cached tokens."""
    if not card.tables:
        return roofline.decode(card.gpu, batch, context, 2 * kv_heads * head_dim)
    known = _like_heads(card, "decode", head_dim, heads, kv_heads)
    wider = max(1.0, kv_heads * head_dim / (known[0] * known[2]))
    taken = card.tables.decode[known].seconds(batch, context) * wider
    return taken * max(1.0, card.like.bandwidth / card.gpu.bandwidth)


def decode_latent(card: Card, batch: int, context: int, cache: int) -> float:
    """The same where all heads read one latent vector of ``cache`` elements."""
    return roofline.decode(card.gpu, batch, context, cache)


@lru_cache(maxsize=KEPT)
def experts(
    card: Card, rows: int, hidden: int, width: int, per_token: int, count: int, ways: int
) -> float:
    """The gated MLPs of a mixture for ``rows`` tokens, their width split over ``ways`` GPUs.

    A mixture that was not measured takes as much longer than the roofline as the measured one of
    the most similar experts.
    """
    asked = roofline.experts(card.gpu, rows, hidden, width / ways, per_token, count) / card.clock
    if not card.tables or not card.tables.experts:
        return asked
    key = (hidden, width, per_token, count, ways)
    known = key if key in card.tables.experts else _like(card, *key)
    taken = card.tables.experts[known].seconds(rows) / card.clock
    if known == key:
        return taken
    there = roofline.experts(card.like, rows, known[0], known[1] / known[4], known[2], known[3])
    return asked * taken / there


@lru_cache(maxsize=1024)
def _like(
    card: Card, hidden: int, width: int, per_token: int, count: int, ways: int
) -> tuple[int, int, int, int, int]:
    """The measured mixture whose experts see as many tokens, and are as large."""
    tables = card.tables.experts if card.tables else {}

    def far(one: tuple[int, int, int, int, int]) -> float:
        size = hidden * width / ways / (one[0] * one[1] / one[4])
        seen = per_token / count / (one[2] / one[3])
        return max(size, 1 / size) * max(seen, 1 / seen) ** 2

    return min(tables, key=far)


@lru_cache(maxsize=KEPT)
def collective(
    card: Card, size: float, ranks: int, per_node: int, kind: str = "all_gather"
) -> float:
    """All-gather, reduce-scatter or all-reduce of ``size`` bytes over ``ranks`` GPUs.

    Tables hold as far as the cards they were measured on; beyond, the roofline does.
    """
    if ranks <= 1:
        return 0.0
    table = card.tables.collectives.get((kind, ranks)) if card.tables else None
    is_inside = ranks <= max(per_node, 1) and card.gpu.link == card.like.link
    if table and is_inside:
        return table.seconds(size)
    times = 2 if kind == "all_reduce" else 1
    return times * roofline.collective(card.gpu, size, ranks, per_node)


def streamed(card: Card, size: float) -> float:
    """Element-wise kernels that read and write ``size`` bytes together."""
    return roofline.streamed(card.gpu, size)
