"""The mixture of experts of a model: how many, how wide, and in which layers."""

from dataclasses import dataclass

from compute.sizing.config_file import WIDEST, ConfigError, ModelConfig
from compute.sizing.families import Family

MOST_EXPERTS = 1 << 16
COUNT = ("num_experts", "num_local_experts", "n_routed_experts")


@dataclass(frozen=True)
class Experts:
    """``per_token`` of ``count`` experts see a token, each an MLP of width ``intermediate``, and a
    shared MLP of width ``shared_intermediate`` (0 for none) sees all.

    ``layers`` are the numbers of the layers that have them, from 0; the others are dense. None is
    not known.
    """

    count: int
    per_token: int | None
    intermediate: int | None
    shared_intermediate: int | None
    layers: tuple[int, ...] | None


def experts_of(config: ModelConfig, layers: int, family: Family | None) -> Experts | None:
    """None for a dense model. Raises ``ConfigError``."""
    if family is not None and family.expert_layers is None:
        return None
    count = config.whole(*COUNT, least=0, most=MOST_EXPERTS)
    if not count:
        return None
    per_token = config.whole("num_experts_per_tok", most=MOST_EXPERTS)
    if per_token is not None and per_token > count:
        raise ConfigError(
            f"num_experts_per_tok in config.json is {per_token}, of {count} experts.",
            "num_experts_per_tok",
        )
    width = _width(config, family)
    shared = _shared(config, width, family)
    return Experts(count, per_token, width, shared, _layers(config, layers, family))


def _width(config: ModelConfig, family: Family | None) -> int | None:
    width = config.whole("moe_intermediate_size", most=WIDEST)
    if width is None and family and family.expert_layers == "all":
        return config.needed("intermediate_size", most=WIDEST)  # Mixtral's only MLP
    return width


def _shared(config: ModelConfig, width: int | None, family: Family | None) -> int | None:
    """The width of what sees every token: stated as such, or as so many experts side by side."""
    stated = config.whole("shared_expert_intermediate_size", least=0, most=WIDEST)
    if stated is not None:
        return stated
    beside = config.whole("n_shared_experts", least=0, most=MOST_EXPERTS)
    if beside is None:
        return 0 if family else None
    return None if width is None else beside * width


def _layers(config: ModelConfig, layers: int, family: Family | None) -> tuple[int, ...] | None:
    rule = family.expert_layers if family else None
    if rule == "all":
        return tuple(range(layers))
    if rule == "after the first":
        first = config.needed("first_k_dense_replace", least=0, most=layers)
        return tuple(range(first, layers))
    if rule == "stepped":
        step = config.needed("decoder_sparse_step", most=layers)
        dense = _dense(config, layers)
        return tuple(at for at in range(layers) if at not in dense and (at + 1) % step == 0)
    return None


def _dense(config: ModelConfig, layers: int) -> set[int]:
    key, told = config.value("mlp_only_layers")
    if not isinstance(told, list) or len(told) > layers:
        raise ConfigError(f"{key} in config.json is no list of layers.", key)
    if any(type(at) is not int or not 0 <= at < layers for at in told):
        raise ConfigError(f"{key} in config.json names a layer that is not there.", key)
    return set(told)
