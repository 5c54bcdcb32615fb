"""How many parameters a model has, and where: exact for the families that this package knows."""

from dataclasses import dataclass, replace
from functools import lru_cache

from compute.sizing.attention import Biases, LatentAttention
from compute.sizing.experts import Experts
from compute.sizing.facts import ModelFacts
from compute.sizing.families import FAMILIES
from compute.sizing.family import Family

LEARNED = {"scale": 1, "scale and shift": 2, "nothing": 0}
PLAIN = Biases(qkv=False, output=False, mlp=False, head=False)


@dataclass(frozen=True)
class LayerParameters:
    """Elements of one decoder layer. ``experts`` are all routed experts together, of which
    ``active_experts`` work on one token; a dense layer has 0 of both, and its MLP in ``mlp``.

    ``attention`` and ``mlp`` count matrices with their biases, ``norms`` those on queries and keys
    too, ``mlp`` the shared MLP of a mixture, ``router`` what chooses and weighs.
    """

    attention: int
    mlp: int
    norms: int
    router: int = 0
    experts: int = 0
    active_experts: int = 0

    @property
    def total(self) -> int:
        return self.attention + self.mlp + self.norms + self.router + self.experts


@dataclass(frozen=True)
class Parameters:
    """``head`` is 0 where the output head is the embedding's own matrix, but for its bias.
    ``positions`` is a learned matrix of positions, 0 for a model with rotary ones.

    ``assumed`` names the facts that the file did not tell and that were taken to be as Llama's: the
    count is exact where it is empty, and an estimate otherwise.
    """

    embedding: int
    head: int
    final_norm: int
    layers: tuple[LayerParameters, ...]
    assumed: tuple[str, ...] = ()
    positions: int = 0

    @property
    def total(self) -> int:
        layers = sum(layer.total for layer in self.layers)
        return self.embedding + self.positions + self.head + self.final_norm + layers

    @property
    def active(self) -> int:
        """Those that work on one token."""
        return self.total - sum(one.experts - one.active_experts for one in self.layers)


@lru_cache(maxsize=1024)
def parameters_of(facts: ModelFacts) -> Parameters:
    """All parameters that transformers' class for causal language models would have.

    A model of an unknown family gets an estimate, which ``assumed`` marks.
    """
    family = FAMILIES.get(facts.model_type, Family())
    return Parameters(
        embedding=facts.vocab * facts.hidden,
        head=_head(facts, facts.biases or PLAIN),
        final_norm=facts.hidden * LEARNED[family.norm],
        layers=_layers(facts, family),
        assumed=_assumed(facts),
        positions=(facts.max_positions or 0) * facts.hidden if family.learned_positions else 0,
    )


def _assumed(facts: ModelFacts) -> tuple[str, ...]:
    if facts.is_known:
        return ()
    asked = (
        "kv_heads", "head_dim", "intermediate", "tied", "biases", "qk_norm", "gated_mlp",
    )  # fmt: skip
    missing = [name for name in asked if getattr(facts, name) is None]
    if facts.experts:
        told = (facts.experts.intermediate, facts.experts.shared_intermediate, facts.experts.layers)
        missing += ["experts"] if None in told else []
    return (*missing, "norms")


def _mixed(facts: ModelFacts) -> frozenset[int]:
    """The layers with experts; all of them where an unknown family does not tell."""
    if not facts.experts:
        return frozenset()
    told = facts.experts.layers
    return frozenset(range(facts.layers) if told is None else told)


def _head(facts: ModelFacts, biases: Biases) -> int:
    bias = facts.vocab if biases.head else 0
    return bias + (0 if facts.tied else facts.vocab * facts.hidden)


def _layers(facts: ModelFacts, family: Family) -> tuple[LayerParameters, ...]:
    """Each layer's; those of one kind are one object."""
    mixed = _mixed(facts)
    mixers = frozenset(facts.mixer.layers) if facts.mixer else frozenset()
    kinds = {
        (has_experts, has_mixer): _layer(facts, family, has_experts, has_mixer)
        for has_experts, has_mixer in {(at in mixed, at in mixers) for at in range(facts.layers)}
    }
    return tuple(kinds[at in mixed, at in mixers] for at in range(facts.layers))


def _layer(
    facts: ModelFacts, family: Family, has_experts: bool, has_mixer: bool
) -> LayerParameters:
    attention, norms = _attention(facts, family)
    if has_mixer and facts.mixer:
        attention, norms = facts.mixer.parameters, 0
    count = family.norms if facts.norms is None else facts.norms
    norms += count * facts.hidden * LEARNED[family.norm]
    is_biased = bool(facts.biases and facts.biases.mlp)
    if not has_experts or not facts.experts:
        return LayerParameters(attention, _mlp(facts, _width(facts), is_biased), norms)
    return _mixture(facts, facts.experts, family, LayerParameters(attention, 0, norms))


def _mixture(
    facts: ModelFacts, experts: Experts, family: Family, rest: LayerParameters
) -> LayerParameters:
    """A layer's experts, what chooses among them, and the MLP that all tokens share."""
    shared = experts.shared_intermediate or 0
    is_biased = bool(facts.biases and facts.biases.mlp)
    one = _mlp(facts, experts.intermediate or _width(facts), family.expert_bias)
    router = experts.count * (facts.hidden + (1 if family.router_bias else 0))
    return replace(
        rest,
        mlp=_mlp(facts, shared, is_biased) if shared else 0,
        router=router + (facts.hidden if family.gates_shared else 0),
        experts=experts.count * one,
        active_experts=(experts.per_token or 1) * one,
    )


def _attention(facts: ModelFacts, family: Family) -> tuple[int, int]:
    """Of the four projections, and of the norms on queries and keys."""
    biases = facts.biases or PLAIN
    if facts.latent:
        return _latent(facts, facts.latent, biases)
    head = facts.head_dim or facts.hidden // facts.heads
    queries, keys = facts.heads * head, (facts.kv_heads or facts.heads) * head
    inwards = queries * (2 if family.gates_attention else 1) + 2 * keys
    count = facts.hidden * (inwards + queries)
    if biases.qkv:
        count += inwards
    if biases.output:
        count += facts.hidden
    if family.sinks:
        count += facts.heads
    normed = {"head": 2 * head, "all heads": queries + keys}.get(facts.qk_norm or "none", 0)
    return count, normed * LEARNED[family.qk_learns or family.norm]


def _latent(facts: ModelFacts, latent: LatentAttention, biases: Biases) -> tuple[int, int]:
    """The same where keys and values come from one latent vector (DeepSeek's MLA)."""
    queries = facts.heads * (latent.plain_dim + latent.rope_dim)
    compressed = latent.kv_rank + latent.rope_dim
    values = facts.heads * latent.value_dim
    count = facts.hidden * (compressed + values)
    count += latent.kv_rank * (facts.heads * latent.plain_dim + values)
    if latent.q_rank:
        count += latent.q_rank * (facts.hidden + queries)
    else:
        count += facts.hidden * queries
    if biases.qkv:
        count += compressed + (latent.q_rank or 0)
    if biases.output:
        count += facts.hidden
    return count, latent.kv_rank + (latent.q_rank or 0)


def _width(facts: ModelFacts) -> int:
    """Of the dense MLP: four times the hidden size where the file does not tell, as GPT-2's."""
    return facts.intermediate or 4 * facts.hidden


def _mlp(facts: ModelFacts, width: int, is_biased: bool) -> int:
    inwards = 1 if facts.gated_mlp is False else 2
    weights = (inwards + 1) * facts.hidden * width
    return weights + (inwards * width + facts.hidden if is_biased else 0)
