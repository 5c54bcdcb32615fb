"""A model as the products that one token makes: what a pass computes, reads and launches.

Tensor parallelism splits it as Megatron and vLLM do: queries, keys, values and the MLP's first
matrices by their columns, the matrices after them by their rows, experts by their width.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import Literal, NamedTuple

from compute.sizing.attention import LatentAttention
from compute.sizing.cache import ENGINES, Cache, cache_in
from compute.sizing.facts import ModelFacts
from compute.sizing.parameters import parameters_of

MODELS = 512


class Product(NamedTuple):
    """Rows of ``k`` elements by a matrix of ``n`` columns. ``splits`` names the side that tensor
    parallelism cuts, if any."""

    n: int
    k: int
    splits: Literal["n", "k", ""]


@dataclass(frozen=True, eq=False)
class Mixture:
    """``per_token`` of ``count`` experts of ``width`` see a token."""

    count: int
    per_token: int
    width: int


@dataclass(frozen=True, eq=False)
class Layer:
    """``count`` layers alike. ``streamed`` are bytes that element-wise kernels of a forward pass
    read and write for a token, ``kernels`` how many kernels it launches."""

    count: int
    products: tuple[Product, ...]
    mixture: Mixture | None
    streamed: int
    kernels: int
    weights: int  # elements of one layer, all experts counted


@dataclass(frozen=True, eq=False)
class Shape:
    """Hashed by identity, so that it is a cheap key of caches; ``shape_of`` makes one a model.

    ``total`` counts the parameters, ``caches`` say by the rollout's engine what a sequence keeps;
    ``window`` is the context that a windowed layer sees, ``windowed`` how many layers are so.
    """

    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    value_dim: int
    caches: Mapping[str, Cache]
    vocab: int
    layers: tuple[Layer, ...]
    depth: int
    window: int
    windowed: int
    is_latent: bool
    total: int


@lru_cache(maxsize=MODELS)
def shape_of(facts: ModelFacts) -> Shape:
    """The shape of a model; of an unknown family, what ``parameters_of`` assumes."""
    head_dim = facts.head_dim or facts.hidden // facts.heads
    kv_heads = facts.kv_heads or facts.heads
    window = facts.window
    return Shape(
        hidden=facts.hidden,
        heads=facts.heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        value_dim=facts.latent.value_dim if facts.latent else head_dim,
        caches={engine: cache_in(engine, facts) for engine in ENGINES},
        vocab=facts.vocab,
        layers=_layers(facts),
        depth=facts.layers,
        window=window.size if window else 0,
        windowed=(window.layers or 0) if window else 0,
        is_latent=facts.latent is not None,
        total=parameters_of(facts).total,
    )


@lru_cache(maxsize=4096)
def split(shape: Shape, ways: int) -> tuple[tuple[Product, ...], ...]:
    """The products of each kind of layer on one of ``ways`` GPUs, fused as vLLM does."""
    return tuple(_fused(layer.products, ways) for layer in shape.layers)


def _fused(products: tuple[Product, ...], ways: int) -> tuple[Product, ...]:
    """Neighbours that read the same input become one product (query, key, value; gate and up)."""
    fused: list[Product] = []
    for one in products:
        n = ceil(one.n / ways) if one.splits == "n" else one.n
        k = ceil(one.k / ways) if one.splits == "k" else one.k
        last = fused[-1] if fused else None
        if last and last.splits == one.splits == "n" and last.k == k:
            fused[-1] = Product(last.n + n, k, "n")
        else:
            fused.append(Product(n, k, one.splits))
    return tuple(fused)


def _layers(facts: ModelFacts) -> tuple[Layer, ...]:
    parameters = parameters_of(facts)
    mixed = [one for one in parameters.layers if one.experts]
    dense = [one for one in parameters.layers if not one.experts]
    found = []
    if dense:
        width = facts.intermediate or 4 * facts.hidden
        found.append(_layer(facts, len(dense), width, None, dense[0].total))
    if mixed and facts.experts:
        experts = facts.experts
        width = experts.intermediate or facts.intermediate or 4 * facts.hidden
        mixture = Mixture(experts.count, experts.per_token or 1, width)
        shared = experts.shared_intermediate or 0
        found.append(_layer(facts, len(mixed), shared, mixture, mixed[0].total))
    return tuple(found)


def _layer(
    facts: ModelFacts, count: int, width: int, mixture: Mixture | None, weights: int
) -> Layer:
    hidden = facts.hidden
    products = [*_attention(facts)]
    is_gated = facts.gated_mlp is not False
    if width:
        products += [Product(width, hidden, "n")] * (2 if is_gated else 1)
        products.append(Product(hidden, width, "k"))
    acting = width
    if mixture:
        products.append(Product(mixture.count, hidden, ""))
        acting += mixture.per_token * mixture.width
    return Layer(
        count=count,
        products=tuple(products),
        mixture=mixture,
        streamed=_streamed(facts, acting, is_gated, mixture),
        kernels=_kernels(facts, len(products), mixture),
        weights=weights,
    )


def _attention(facts: ModelFacts) -> tuple[Product, ...]:
    if facts.latent:
        return _latent(facts, facts.latent)
    head = facts.head_dim or facts.hidden // facts.heads
    queries, keys = facts.heads * head, (facts.kv_heads or facts.heads) * head
    hidden = facts.hidden
    wide = (Product(size, hidden, "n") for size in (queries, keys, keys))
    return (*wide, Product(hidden, queries, "k"))


def _latent(facts: ModelFacts, latent: LatentAttention) -> tuple[Product, ...]:
    hidden, heads = facts.hidden, facts.heads
    queries = heads * (latent.plain_dim + latent.rope_dim)
    asked: tuple[Product, ...] = (Product(queries, hidden, "n"),)
    if latent.q_rank:
        asked = (Product(latent.q_rank, hidden, ""), Product(queries, latent.q_rank, "n"))
    return (
        *asked,
        Product(latent.kv_rank + latent.rope_dim, hidden, ""),
        Product(heads * (latent.plain_dim + latent.value_dim), latent.kv_rank, "n"),
        Product(hidden, heads * latent.value_dim, "k"),
    )


def _streamed(facts: ModelFacts, acting: int, is_gated: bool, mixture: Mixture | None) -> int:
    """Bytes of element-wise kernels of a forward pass, for a token and layer, counted in the eager
    code of transformers (``modeling_llama.py``), operation by operation, in bf16:

    a norm 36 an element (cast to fp32 6, square 8, mean 4, scale 8, cast back 6, weight 4 to 6),
    a residual addition 6, rotary positions 20 for queries and keys, an activation 4 and its
    product with the other half 6; of a mixture also what gathers and weighs the chosen rows.
    """
    head = facts.head_dim or facts.hidden // facts.heads
    turned = head * (facts.heads + (facts.kv_heads or facts.heads))
    streamed = 2 * 36 * facts.hidden + 2 * 6 * facts.hidden + 20 * turned
    streamed += (36 * turned) if (facts.qk_norm or "none") != "none" else 0
    streamed += (10 if is_gated else 4) * acting
    if mixture:
        streamed += 4 * mixture.per_token * facts.hidden + 6 * mixture.per_token * facts.hidden
        streamed += 16 * mixture.count
    return streamed


def _kernels(facts: ModelFacts, products: int, mixture: Mixture | None) -> int:
    """Kernels of the same code: 7 a norm, 11 of rotary positions, attention 2, 2 additions, 2 of
    the activation, about 30 of a mixture (softmax, top-k, sort, gather, grouped products, sum)."""
    norms = 2 + (2 if (facts.qk_norm or "none") != "none" else 0)
    return products + 7 * norms + 11 + 2 + 2 + 2 + (30 if mixture else 0)
