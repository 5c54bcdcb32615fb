"""Layers without attention: what mixes their tokens instead."""

from dataclasses import dataclass

from compute.sizing.config_file import LONGEST, MOST_HEADS, WIDEST, ConfigError, ModelConfig
from compute.sizing.family import Family, MixerKind, decided


@dataclass(frozen=True)
class Mixer:
    """What stands in the place of attention in ``layers``, their numbers from 0.

    ``parameters`` are the elements of one, with its own norms. ``state`` is how many elements one
    of them keeps of a sequence while an answer is sampled, however long that is.
    """

    kind: MixerKind
    layers: tuple[int, ...]
    parameters: int
    state: int


def mixer_of(
    config: ModelConfig, layers: int, hidden: int, heads: int, family: Family | None
) -> Mixer | None:
    """None where every layer has attention, or the family is unknown. Raises ``ConfigError``."""
    if family is None or family.mixer is None:
        return None
    places = _layers(config, layers, family.mixer)
    count = {"delta rule": _delta, "convolution": _convolution, "lightning": _lightning}
    parameters, state = count[family.mixer](config, hidden, heads)
    return Mixer(family.mixer, places, parameters, state) if places else None


def _layers(config: ModelConfig, layers: int, kind: MixerKind) -> tuple[int, ...]:
    key, told = config.value("layer_types")
    if told is not None:
        if not isinstance(told, list) or len(told) != layers:
            raise ConfigError(f"{key} in config.json is no list of {layers} words.", key)
        return tuple(at for at, one in enumerate(told) if one in ("linear_attention", "conv"))
    if kind == "convolution":
        return _all_but_named(config, layers)
    step = config.needed("full_attention_interval", most=LONGEST)
    first = 0 if kind == "lightning" else step - 1
    return tuple(at for at in range(layers) if at % step != first)


def _all_but_named(config: ModelConfig, layers: int) -> tuple[int, ...]:
    key, told = config.value("full_attn_idxs")
    if told is None:
        return ()
    if not isinstance(told, list) or any(type(at) is not int for at in told):
        raise ConfigError(f"{key} in config.json is no list of layers.", key)
    return tuple(at for at in range(layers) if at not in set(told))


def _delta(config: ModelConfig, hidden: int, heads: int) -> tuple[int, int]:
    """The gated delta rule of Qwen3-Next and Qwen3.5."""
    del heads  # it has heads of its own
    key_heads = config.needed("linear_num_key_heads", most=MOST_HEADS)
    value_heads = config.needed("linear_num_value_heads", most=MOST_HEADS)
    key_dim = config.needed("linear_key_head_dim", most=WIDEST)
    value_dim = config.needed("linear_value_head_dim", most=WIDEST)
    kernel = config.needed("linear_conv_kernel_dim", most=WIDEST)
    keys, values = key_heads * key_dim, value_heads * value_dim
    convolved = 2 * keys + values
    inwards = hidden * (convolved + values + 2 * value_heads)  # the values' gate; two of each head
    steps = 2 * value_heads + value_dim  # time steps, decays and the norm
    parameters = inwards + convolved * kernel + values * hidden + steps
    return parameters, value_heads * key_dim * value_dim + convolved * kernel


def _convolution(config: ModelConfig, hidden: int, heads: int) -> tuple[int, int]:
    """The short convolution of LFM2, between two projections."""
    del heads
    kernel = config.needed("conv_L_cache", most=WIDEST)
    bias = 5 * hidden if decided(config, "conv_bias") else 0
    return hidden * kernel + 4 * hidden * hidden + bias, hidden * kernel


def _lightning(config: ModelConfig, hidden: int, heads: int) -> tuple[int, int]:
    """The lightning attention of MiniMax-01: a gate, and a norm over all heads."""
    head = config.whole("head_dim", most=WIDEST) or hidden // heads
    return 5 * hidden * heads * head + heads * head, heads * head * head
