"""What a sequence keeps of its tokens while its answer is sampled: keys and values, and states.

A layer with full attention keeps them of every token, one with a window of the last ones, and one
that mixes tokens otherwise has a state of one size.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil

from compute.sizing.facts import ModelFacts

ENGINES = ("vllm", "sglang", "hf")
BLOCK = 16  # tokens that vLLM reserves at once, unless it is set


@dataclass(frozen=True)
class Cache:
    """``full``, ``windowed`` and ``mixers`` count the layers of each sort. ``token`` are the
    elements that a layer with attention keeps of a token, ``state`` those of a mixer, however long
    the sequence is. Tensor parallelism shares ``heads``: 1 where all heads read one latent vector.
    """

    token: int
    heads: int
    full: int
    windowed: int
    window: int
    mixers: int
    state: int

    def of_token(self, ways: int, width: int) -> float:
        """Bytes that one layer keeps of a token on one of ``ways`` cards."""
        return self.token * width / min(ways, self.heads)

    def kept(self, tokens: float, ways: int, width: int) -> float:
        """Bytes on one card of one sequence."""
        seen = self.full * tokens + self.windowed * min(tokens, self.window - 1)
        return seen * self.of_token(ways, width) + self.mixers * self.state * width / ways


@lru_cache(maxsize=1024)
def cache_in(engine: str, facts: ModelFacts) -> Cache:
    """What an engine of the rollout keeps: vLLM, SGLang, or transformers' own code (``hf``)."""
    cache = cache_of(facts, expands=engine == "hf")
    return _without_windows(cache) if engine == "sglang" else cache


@lru_cache(maxsize=1024)
def cache_of(facts: ModelFacts, expands: bool = False) -> Cache:
    """``expands`` is for transformers' own code, which keeps the keys and values of each head where
    vLLM and SGLang keep the latent vector that they come from."""
    window, mixer = facts.window, facts.mixer
    windowed = (window.layers or 0) if window else 0
    mixers = len(mixer.layers) if mixer else 0
    token, heads = _token(facts, expands)
    return Cache(
        token=token, heads=heads, full=facts.layers - windowed - mixers, windowed=windowed,
        window=window.size if window else 0, mixers=mixers, state=mixer.state if mixer else 0,
    )  # fmt: skip


def _without_windows(cache: Cache) -> Cache:
    """As SGLang keeps it, which drops what lies before a window for few architectures only
    (``is_hybrid_swa_model``), and shares its room between two pools of set sizes then."""
    return replace(cache, full=cache.full + cache.windowed, windowed=0)


def _token(facts: ModelFacts, expands: bool) -> tuple[int, int]:
    """Elements of a token in one layer, and the heads that they are of."""
    latent = facts.latent
    if latent and expands:
        each = latent.plain_dim + latent.rope_dim + latent.value_dim
        return facts.heads * each, facts.heads
    if latent:
        return latent.kv_rank + latent.rope_dim, 1
    heads = facts.kv_heads or facts.heads
    return 2 * heads * (facts.head_dim or facts.hidden // facts.heads), heads


def reserved(cache: Cache, tokens: int, batch: int, ways: int, width: int) -> int:
    """Bytes on one card that vLLM must have free for one sequence of ``tokens``, or it does not
    start: its ``max_memory_usage_bytes`` of each sort of layer and, as
    ``_max_memory_usage_bytes_from_groups`` does, all sorts filled up to groups of as many layers
    (vllm/v1/kv_cache_interface.py and vllm/v1/core/kv_cache_utils.py).

    Of windowed layers it counts ``batch`` tokens beyond the window, which one step may add.
    """
    of_token = cache.of_token(ways, width)
    # The blocks of attention are enlarged until one holds a state.
    state = cache.state * width / ways
    block = BLOCK * max(1, ceil(state / (BLOCK * of_token)))
    windowed = min(cache.window - 1 + batch, tokens)
    sorts = [
        (count, blocks)
        for count, blocks in (
            (cache.full, ceil(tokens / block)),
            (cache.windowed, ceil(windowed / block) + 1),
            (cache.mixers, 1),
        )
        if count
    ]
    group = _group([count for count, _ in sorts])
    blocks = sum(ceil(count / group) * blocks for count, blocks in sorts)
    return ceil(group * blocks * block * of_token)


def _group(counts: list[int]) -> int:
    """Layers of a group: as many as the rarest sort has, or the most where they are nearly even."""
    return max(counts) if max(counts) < 1.5 * min(counts) else min(counts)
