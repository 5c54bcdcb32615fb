"""The structure of a model, as its ``config.json`` tells it: what memory and time follow from."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from compute.sizing.attention import (
    Biases,
    LatentAttention,
    biases_of,
    head_dim_of,
    kv_heads_of,
    latent_of,
)
from compute.sizing.config_file import (
    HEADS,
    HIDDEN,
    LAYERS,
    LONGEST,
    MOST_HEADS,
    POSITIONS,
    WIDEST,
    ConfigError,
    ModelConfig,
    read_config,
)
from compute.sizing.experts import Experts, experts_of
from compute.sizing.families import FAMILIES
from compute.sizing.family import Family, QkNorm, norms_of, qk_norm_of, width_of
from compute.sizing.hashed import HashedOnce
from compute.sizing.mixers import Mixer, mixer_of
from compute.sizing.positions import Rope, Window, rope_of, window_of

MOST_LAYERS = 10_000
MOST_TOKENS = 1 << 24  # of a vocabulary


@dataclass(frozen=True)
class ModelFacts(HashedOnce):
    """A decoder as its ``config.json`` describes it. Sizes are in elements, contexts in tokens.

    ``is_known`` is whether this package knows the code of the model type. None means that the file
    does not tell, or, for ``experts``, ``latent`` and ``window`` of a known family, that the model
    has none. ``intermediate`` is the width of a dense MLP, ``tied`` whether embedding and output
    head are one matrix, ``quantization`` how the weights in the files are packed, if they are.
    ``norms`` is how many norms over the hidden size a layer has, ``mixer`` what some layers have in
    the place of attention.
    """

    model_type: str
    architecture: str | None
    is_known: bool
    layers: int
    hidden: int
    heads: int
    kv_heads: int | None
    head_dim: int | None
    intermediate: int | None
    vocab: int
    tied: bool | None
    biases: Biases | None
    qk_norm: QkNorm | None
    gated_mlp: bool | None
    experts: Experts | None
    latent: LatentAttention | None
    dtype: str | None
    quantization: str | None
    max_positions: int | None
    rope: Rope | None
    window: Window | None
    norms: int | None = None
    mixer: Mixer | None = None

    __hash__ = HashedOnce.__hash__


def read_facts(source: Path | str | Mapping[str, Any]) -> ModelFacts:
    """The facts of the ``config.json`` at a path, or of one that is parsed already.

    Raises ``ConfigError``, which names the key that is missing or wrong, and ``OSError`` when there
    is no such file.
    """
    config = read_config(source)
    family = FAMILIES.get(config.model_type)
    if family:
        config = replace(config, defaults=family.defaults)
    layers = config.needed(*LAYERS, most=MOST_LAYERS)
    hidden = config.needed(*HIDDEN, most=WIDEST)
    heads = config.needed(*HEADS, most=MOST_HEADS)
    latent = latent_of(config)
    return ModelFacts(
        model_type=config.model_type,
        architecture=_architecture(config),
        is_known=family is not None,
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads_of(config, heads, family),
        head_dim=head_dim_of(config, hidden, heads, latent, family),
        intermediate=width_of(config, hidden, family),
        vocab=config.needed("vocab_size", most=MOST_TOKENS),
        tied=tied_of(config, family),
        biases=biases_of(config, family),
        qk_norm=qk_norm_of(config, family) if family else None,
        gated_mlp=family.gated_mlp if family else None,
        experts=experts_of(config, layers, family),
        latent=latent,
        dtype=_dtype(config),
        quantization=_quantization(config),
        max_positions=config.whole(*POSITIONS, most=LONGEST),
        rope=rope_of(config),
        window=window_of(config, layers, family),
        norms=norms_of(config, family) if family else None,
        mixer=mixer_of(config, layers, hidden, heads, family),
    )


def _architecture(config: ModelConfig) -> str | None:
    """The class that the weights are loaded into."""
    named = config.outer.get("architectures")
    if named is None or named == []:
        return None
    if not isinstance(named, list):
        raise ConfigError("architectures in config.json is no list of names.", "architectures")
    first = ModelConfig("", {"architectures": named[0]}, {})
    return first.word("architectures")


def tied_of(config: ModelConfig, family: Family | None) -> bool | None:
    """Whether embedding and output head are one matrix; None where nothing tells."""
    keys = ("tie_embedding", "tie_word_embeddings")  # the first is LFM2's
    around = ModelConfig("", config.outer, config.outer)
    for place in (config, around):
        if (told := place.flag(*keys)) is not None:
            return told
    return family.tied if family else None


def _dtype(config: ModelConfig) -> str | None:
    """The number format of the weights: transformers called the key ``torch_dtype`` before 5."""
    for place in (config, ModelConfig("", config.outer, config.outer)):
        if told := place.word("dtype", "torch_dtype"):
            return told.removeprefix("torch.")
    return None


def _quantization(config: ModelConfig) -> str | None:
    packed = ModelConfig("", config.outer, config.outer).within("quantization_config")
    return (packed.word("quant_method") or "unknown") if packed else None
