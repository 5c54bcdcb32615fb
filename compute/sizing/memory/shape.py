"""The sizes of a model that memory follows from, counted once for each model."""

from dataclasses import dataclass
from functools import lru_cache

from compute.sizing.facts import ModelFacts
from compute.sizing.families import FAMILIES
from compute.sizing.family import Family
from compute.sizing.parameters import parameters_of


@dataclass(frozen=True)
class Shape:
    """Elements: ``queries`` and ``keys`` are heads times head size, ``layer`` the parameters of the
    largest decoder layer, ``in_layers`` of all, ``head`` 0 where the output head is the embedding's
    own matrix. ``intermediate`` is the width of the MLP, or of one of ``experts``, ``chosen`` of
    which see a token, in ``mixed`` layers; ``weighed`` is the width in bytes of what
    they give, once the router has weighed it."""

    hidden: int
    intermediate: int
    layers: int
    vocab: int
    heads: int
    kv_heads: int
    head_dim: int
    queries: int
    keys: int
    qk_norm: bool
    layer: int
    embedding: int
    head: int
    in_layers: int
    total: int
    experts: int
    chosen: int
    mixed: int
    weighed: int


@lru_cache(maxsize=4096)
def shape_of(facts: ModelFacts) -> Shape:
    """The sizes of a decoder; ``layer`` is its largest one. What the file does not tell is taken as
    in Llama."""
    hidden, heads = facts.hidden, facts.heads
    head_dim = facts.head_dim or hidden // heads
    kv_heads = facts.kv_heads or heads
    experts = facts.experts
    intermediate = (experts.intermediate if experts else None) or facts.intermediate or 4 * hidden
    queries, keys = heads * head_dim, kv_heads * head_dim
    qk_norm = facts.qk_norm not in (None, "none")
    counted = parameters_of(facts)
    return Shape(
        hidden=hidden, intermediate=intermediate, layers=facts.layers, vocab=facts.vocab,
        heads=heads, kv_heads=kv_heads, head_dim=head_dim, queries=queries, keys=keys,
        qk_norm=qk_norm, layer=max(one.total for one in counted.layers),
        embedding=counted.embedding, head=counted.head,
        in_layers=sum(one.total for one in counted.layers), total=counted.total,
        experts=experts.count if experts else 0,
        mixed=sum(1 for one in counted.layers if one.experts),
        chosen=(experts.per_token or 1) if experts else 1,
        weighed=2 if FAMILIES.get(facts.model_type, Family()).routes_narrow else 4,
    )  # fmt: skip
