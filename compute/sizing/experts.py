"""The mixture of experts of a model: how many, how wide, and in which layers."""

from dataclasses import dataclass

from compute.sizing.config_file import WIDEST, ConfigError, ModelConfig
from compute.sizing.family import Family

MOST_EXPERTS = 1 << 16
COUNT = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
PER_TOKEN = ("num_experts_per_tok", "moe_k", "moe_topk")
SHARED = ("n_shared_experts", "num_shared_experts", "moe_num_shared_experts")


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
    per_token = _per_token(config)
    if per_token is not None and per_token > count:
        raise ConfigError(
            f"num_experts_per_tok in config.json is {per_token}, of {count} experts.",
            "num_experts_per_tok",
        )
    width = _width(config, family)
    shared = _shared(config, width, family)
    return Experts(count, per_token, width, shared, _layers(config, layers, family))


def _per_token(config: ModelConfig) -> int | None:
    key, told = config.value(*PER_TOKEN)
    if key == "moe_topk" and isinstance(told, list) and len(set(map(repr, told))) == 1:
        told = told[0]  # Hunyuan's may list one for each layer
    return ModelConfig("", {key: told}, {}).whole(key, most=MOST_EXPERTS)


def _width(config: ModelConfig, family: Family | None) -> int | None:
    if family and family.expert_width == "intermediate_size":
        return config.needed("intermediate_size", most=WIDEST)  # the only MLP of those
    return config.whole("moe_intermediate_size", most=WIDEST)


def _shared(config: ModelConfig, width: int | None, family: Family | None) -> int | None:
    """The width of what sees every token: stated as such, or as so many experts side by side."""
    if family and family.shared_is_dense:
        return config.needed("intermediate_size", most=WIDEST)
    stated = config.whole("shared_expert_intermediate_size", least=0, most=WIDEST)
    if stated is not None:
        return stated
    beside = config.whole(*SHARED, least=0, most=MOST_EXPERTS)
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
    if rule == "listed":
        return _listed(config, layers)
    return _ranged(config, layers) if rule == "ranged" else None


def _listed(config: ModelConfig, layers: int) -> tuple[int, ...]:
    """As the file says; all but the first where it does not."""
    key, told = config.value("mlp_layer_types")
    if told is None:
        return tuple(range(1, layers))
    if not isinstance(told, list) or len(told) != layers:
        raise ConfigError(f"{key} in config.json is no list of {layers} words.", key)
    return tuple(at for at, one in enumerate(told) if one == "sparse")


def _ranged(config: ModelConfig, layers: int) -> tuple[int, ...]:
    """Every so many from one layer to another (Ernie 4.5); -1 is the last."""
    first = config.needed("moe_layer_start_index", least=0, most=layers)
    last = config.needed("moe_layer_end_index", least=-1, most=WIDEST)
    step = config.needed("moe_layer_interval", most=layers)
    last = min(layers - 1, last) if last >= 0 else layers - 1
    return tuple(at for at in range(first, last + 1) if (at + 1) % step == 0)


def _dense(config: ModelConfig, layers: int) -> set[int]:
    key, told = config.value("mlp_only_layers")
    if not isinstance(told, list) or len(told) > layers:
        raise ConfigError(f"{key} in config.json is no list of layers.", key)
    if any(type(at) is not int or not 0 <= at < layers for at in told):
        raise ConfigError(f"{key} in config.json names a layer that is not there.", key)
    return set(told)
