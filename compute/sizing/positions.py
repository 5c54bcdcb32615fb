"""How a model tells positions apart, and how far back a token sees."""

from dataclasses import dataclass

from compute.sizing.config_file import LONGEST, ConfigError, ModelConfig
from compute.sizing.family import Family


@dataclass(frozen=True)
class Rope:
    """Rotary positions: their base, the kind of scaling, how far it stretches the context that the
    model was first trained on, and that context in tokens. None is not told."""

    theta: float | None
    kind: str
    factor: float | None
    original_positions: int | None


@dataclass(frozen=True)
class Window:
    """A token of ``layers`` layers sees itself and those before it within ``size`` tokens.

    ``layers`` is None where the file does not tell and the family is unknown.
    """

    size: int
    layers: int | None


def rope_of(config: ModelConfig) -> Rope | None:
    """None where the file tells nothing of it. Raises ``ConfigError``.

    transformers 5 writes ``rope_parameters``; before, ``rope_theta`` stood apart from
    ``rope_scaling``. Where layers differ, these are of the layers that see everything.
    """
    scaling = config.within("rope_parameters", "rope_scaling")
    if scaling and (full := scaling.within("full_attention")):
        scaling = full
    theta = (scaling.positive("rope_theta") if scaling else None) or config.positive("rope_theta")
    if scaling is None:
        return Rope(theta, "default", None, None) if theta else None
    return Rope(
        theta=theta,
        kind=scaling.word("rope_type", "type") or "default",
        factor=scaling.positive("factor"),
        original_positions=scaling.whole("original_max_position_embeddings", most=LONGEST),
    )


def window_of(config: ModelConfig, layers: int, family: Family | None) -> Window | None:
    """None where every layer sees everything, or nothing is told. Raises ``ConfigError``."""
    if config.flag("use_sliding_window") is False:
        return None
    size = config.whole("sliding_window", least=0, most=LONGEST)
    if not size or (family and family.windowed == "none"):
        return None
    count = _listed(config, layers)
    if count is None:
        count = _windowed(config, layers, family)
    return None if count == 0 else Window(size, count)


def _listed(config: ModelConfig, layers: int) -> int | None:
    """Of how many layers the file itself says that they have a window."""
    key, told = config.value("layer_types")
    if told is None:
        return None
    if not isinstance(told, list) or len(told) != layers:
        raise ConfigError(f"{key} in config.json is no list of {layers} words.", key)
    return told.count("sliding_attention")


def _windowed(config: ModelConfig, layers: int, family: Family | None) -> int | None:
    """By the rule of the family's code."""
    rule = family.windowed if family else None
    if rule == "all":
        return layers
    if rule == "late":
        return max(0, layers - config.needed("max_window_layers", least=0, most=LONGEST))
    if rule == "early":  # of the first layers, every other
        early = min(layers, config.needed("max_window_layers", least=0, most=LONGEST))
        return (early + 1) // 2
    if rule == "all but each nth":
        return layers - layers // config.needed("sliding_window_pattern", least=1, most=LONGEST)
    return None
