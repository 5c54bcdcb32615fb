"""What the code of a model family fixes, in the words of ``Family``, and what a file decides."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from compute.sizing.config_file import WIDEST, ConfigError, ModelConfig

QkNorm = Literal["none", "head", "all heads"]
"""A norm on queries and keys: none, one over a head's dimensions, or one over all heads at once."""

Norm = Literal["scale", "scale and shift", "nothing"]
"""What a norm learns for each dimension."""

ExpertLayers = Literal["all", "stepped", "after the first", "listed", "ranged"]
MixerKind = Literal["delta rule", "convolution", "lightning"]


@dataclass(frozen=True)
class Family:
    """``…_bias`` and ``qk_norm`` are fixed by the code, or named by the key that decides.

    ``tied`` is whether embedding and output head are one matrix, where the file does not say.
    ``expert_layers`` says how a mixture of experts finds its layers; None for a dense model.
    ``windowed`` says in which layers a token sees no more than a window of those before it.
    ``norms`` is how many norms over the hidden size a layer has, ``norm`` what each of them learns;
    ``parallel`` names the key that says that attention and MLP read the same one.
    ``keyed_norm`` is the norm on queries and keys where a key decides, ``qk_learns`` what it learns
    where that is not what the others do.
    ``groups_heads`` is False where each head has keys and values of its own, whatever a file says.
    ``width`` names the key of the dense MLP's width, ``expert_width`` that of an expert;
    ``expert_bias`` says that experts add biases, ``router_bias`` that the router does,
    ``shared_is_dense`` that the shared MLP is as wide as a dense one, ``gates_shared`` that a gate
    weighs a token's part of it, ``routes_narrow`` that the router's weights come in the tokens' own
    dtype, and not in fp32.
    ``gates_attention`` says that queries come with a gate of their size, ``sinks`` that each head
    has a learned sink, ``learned_positions`` that positions are a matrix beside the embedding.
    ``mixer`` is what mixes tokens in the layers that have no attention.
    """

    tied: bool = False
    defaults: Mapping[str, Any] = field(default_factory=dict)
    qkv_bias: bool | str = False
    output_bias: bool | str = False
    mlp_bias: bool | str = False
    head_bias: bool | str = False
    qk_norm: QkNorm | str = "none"
    keyed_norm: QkNorm = "head"
    qk_learns: Norm | None = None
    groups_heads: bool = True
    gated_mlp: bool = True
    width: str = "intermediate_size"
    expert_layers: ExpertLayers | None = None
    expert_width: str = "moe_intermediate_size"
    expert_bias: bool = False
    shared_is_dense: bool = False
    gates_shared: bool = False
    router_bias: bool = False
    routes_narrow: bool = False
    windowed: Literal["none", "all", "late", "early", "all but each nth"] = "none"
    norms: int = 2
    norm: Norm = "scale"
    parallel: str = ""
    gates_attention: bool = False
    sinks: bool = False
    learned_positions: bool = False
    mixer: MixerKind | None = None


def decided(config: ModelConfig, rule: bool | str) -> bool:
    """A rule of a family: fixed, or what the key says that it names. Raises ``ConfigError``."""
    if isinstance(rule, bool):
        return rule
    value = config.flag(rule)
    if value is None:
        raise ConfigError(f"config.json does not say {rule}.", rule)
    return value


def qk_norm_of(config: ModelConfig, family: Family) -> QkNorm:
    """Raises ``ConfigError``."""
    rule = family.qk_norm
    if rule in ("none", "head", "all heads"):
        return rule  # type: ignore[return-value]  # mypy does not narrow a literal by ``in``
    return family.keyed_norm if decided(config, rule) else "none"


def norms_of(config: ModelConfig, family: Family) -> int:
    """Norms over the hidden size in a layer. Raises ``ConfigError``."""
    if not family.parallel or not decided(config, family.parallel):
        return family.norms
    told = config.whole("num_ln_in_parallel_attn", most=2)  # Falcon's, which may part them again
    return told or (2 if config.flag("new_decoder_architecture") else 1)


def width_of(config: ModelConfig, hidden: int, family: Family | None) -> int | None:
    """The width of the dense MLP, where it is told. Raises ``ConfigError``."""
    if family is None:
        return config.whole("intermediate_size", "n_inner", "ffn_hidden_size", most=WIDEST)
    if family.mixer == "convolution":
        return _rounded(config)
    told = config.whole(family.width, most=WIDEST)
    if told is None and family.width != "intermediate_size":
        return 4 * hidden  # as the code of those families takes it
    return told


def _rounded(config: ModelConfig) -> int:
    """LFM2 takes two thirds of what is told, rounded up to whole blocks."""
    told = config.needed("block_ff_dim", "intermediate_size", most=WIDEST)
    if not decided(config, "block_auto_adjust_ff_dim"):
        return told
    factor = config.positive("block_ffn_dim_multiplier")
    if factor is None:
        return int(2 * told / 3)
    block = config.needed("block_multiple_of", most=WIDEST)
    return -(-int(factor * int(2 * told / 3)) // block) * block
