"""The attention of a model: its heads, its biases, and keys and values from one latent vector."""

from dataclasses import dataclass

from compute.sizing.config_file import MOST_HEADS, WIDEST, ConfigError, ModelConfig
from compute.sizing.family import Family, decided


@dataclass(frozen=True)
class Biases:
    """Which projections add a bias: queries, keys and values; attention's output; the MLP; the
    output head."""

    qkv: bool
    output: bool
    mlp: bool
    head: bool


@dataclass(frozen=True)
class LatentAttention:
    """Multi-head latent attention: keys and values come from one vector of ``kv_rank``.

    ``q_rank`` is None where queries are projected directly. ``plain_dim`` and ``rope_dim`` are a
    query's parts without and with rotary positions, ``value_dim`` a value's size, each a head.
    """

    kv_rank: int
    q_rank: int | None
    plain_dim: int
    rope_dim: int
    value_dim: int


def kv_heads_of(config: ModelConfig, heads: int, family: Family | None) -> int | None:
    """Heads of keys and values; None for an unknown family that does not state them.

    Raises ``ConfigError``.
    """
    if config.flag("multi_query") and not config.flag("new_decoder_architecture"):
        return 1  # Falcon's first code
    if family and not family.groups_heads:
        return heads
    found = config.whole("num_key_value_heads", "num_kv_heads", most=MOST_HEADS)
    if found is None:
        return heads if family else None  # the code of the known families does the same
    if heads % found:
        raise ConfigError(
            f"num_key_value_heads in config.json is {found}: {heads} attention heads cannot share "
            "so many evenly.",
            "num_key_value_heads",
        )
    return found


def head_dim_of(
    config: ModelConfig,
    hidden: int,
    heads: int,
    latent: LatentAttention | None,
    family: Family | None,
) -> int | None:
    """The size of a head of queries; None for an unknown family that does not state it.

    Raises ``ConfigError``.
    """
    if latent:
        return latent.plain_dim + latent.rope_dim
    found = config.whole("head_dim", most=WIDEST)
    if found is not None or family is None:
        return found
    if hidden % heads:
        raise ConfigError(
            f"hidden_size in config.json is {hidden}, which {heads} attention heads cannot share "
            "evenly, and there is no head_dim.",
            "head_dim",
        )
    return hidden // heads


def biases_of(config: ModelConfig, family: Family | None) -> Biases | None:
    """None for an unknown family. Raises ``ConfigError``."""
    if family is None:
        return None
    return Biases(
        qkv=decided(config, family.qkv_bias),
        output=decided(config, family.output_bias),
        mlp=decided(config, family.mlp_bias),
        head=decided(config, family.head_bias),
    )


def latent_of(config: ModelConfig) -> LatentAttention | None:
    """None where each head has keys and values of its own. Raises ``ConfigError``."""
    kv_rank = config.whole("kv_lora_rank", most=WIDEST)
    if kv_rank is None:
        return None
    return LatentAttention(
        kv_rank=kv_rank,
        q_rank=config.whole("q_lora_rank", most=WIDEST),
        plain_dim=config.needed("qk_nope_head_dim", least=0, most=WIDEST),
        rope_dim=config.needed("qk_rope_head_dim", least=0, most=WIDEST),
        value_dim=config.needed("v_head_dim", most=WIDEST),
    )
