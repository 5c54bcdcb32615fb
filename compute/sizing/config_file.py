"""A model's ``config.json``, read as input from a stranger: each value has the kind and the size
that a model can have, or it is refused by the name of its key."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAME = "config.json"
LARGEST_FILE = 8 << 20  # bytes; a quantized model's list of modules takes some hundred thousand
LONGEST_SHOWN = 40  # characters of a value that an error quotes
WORD = re.compile(r"[\w.+-]{1,100}", re.ASCII)

LAYERS = ("num_hidden_layers", "n_layer", "num_layers")
HIDDEN = ("hidden_size", "n_embd", "d_model")
HEADS = ("num_attention_heads", "n_head")
POSITIONS = ("max_position_embeddings", "n_positions", "seq_length")

# Beyond these no model is: what a file says above them is no size of one.
MOST_HEADS = 1 << 16
WIDEST = 1 << 20  # of any dimension of a layer
LONGEST = 1 << 31  # tokens of a context


class ConfigError(ValueError):
    """The file does not describe a model. The message is a sentence that names ``key``, which is
    empty when the file as a whole is meant."""

    def __init__(self, message: str, key: str = "") -> None:
        super().__init__(message)
        self.key = key


@dataclass(frozen=True)
class ModelConfig:
    """The values of a language model. A model that sees more than text keeps them one level down,
    in ``text_config``; ``outer`` are the values around it, and the same values otherwise.

    ``defaults`` are what transformers takes for a key that is not there. A key that is there and
    null has no default: null is what somebody wrote.
    """

    model_type: str
    values: Mapping[str, Any]
    outer: Mapping[str, Any]
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def value(self, *keys: str) -> tuple[str, Any]:
        """The first of these keys that is there, or has a default, and its value; None without."""
        for source in (self.values, self.defaults):
            for key in keys:
                if key in source:
                    return key, source[key]
        return keys[0], None

    def whole(self, *keys: str, least: int = 1, most: int) -> int | None:
        """A whole number within bounds, or None where it is not told. Raises ``ConfigError``."""
        key, value = self.value(*keys)
        if value is None:
            return None
        if type(value) is not int or not least <= value <= most:
            raise _wrong(key, value, f"a whole number from {least} to {most}")
        return value

    def needed(self, *keys: str, least: int = 1, most: int) -> int:
        """As ``whole``, for what no model is without. Raises ``ConfigError``."""
        value = self.whole(*keys, least=least, most=most)
        if value is None:
            raise ConfigError(f"{NAME} has no {keys[0]}.", keys[0])
        return value

    def positive(self, *keys: str) -> float | None:
        """A number above zero, or None where it is not told. Raises ``ConfigError``."""
        key, value = self.value(*keys)
        if value is None:
            return None
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not 0 < value < 1e300 or not math.isfinite(value):
            raise _wrong(key, value, "a number above zero")
        return float(value)

    def flag(self, *keys: str) -> bool | None:
        """True or false, or None where it is not told. Raises ``ConfigError``."""
        key, value = self.value(*keys)
        if value is None or isinstance(value, bool):
            return value
        raise _wrong(key, value, "true or false")

    def word(self, *keys: str) -> str | None:
        """One plain word, or None where it is not told. Raises ``ConfigError``."""
        key, value = self.value(*keys)
        if value is None:
            return None
        if not isinstance(value, str) or not WORD.fullmatch(value):
            raise _wrong(key, value, "one plain word")
        return value

    def within(self, *keys: str) -> "ModelConfig | None":
        """The values of an object inside of this one; None where there is none.

        Raises ``ConfigError``.
        """
        key, value = self.value(*keys)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise _wrong(key, value, "an object")
        return ModelConfig(self.model_type, value, value)


def read_config(source: Path | str | Mapping[str, Any]) -> ModelConfig:
    """Read the ``config.json`` at a path, or one that is parsed already.

    Raises ``ConfigError`` when it is no model's, and ``OSError`` when there is no such file.
    """
    outer = source if isinstance(source, Mapping) else _parsed(Path(source))
    config = ModelConfig("", outer, outer)
    model_type = config.word("model_type")
    if model_type is None:
        raise ConfigError(f"{NAME} names no model_type.", "model_type")
    inner = config.within("text_config")
    if inner is None:
        return ModelConfig(model_type, outer, outer)
    return ModelConfig(inner.word("model_type") or model_type, inner.values, outer)


def _parsed(path: Path) -> Mapping[str, Any]:
    with path.open("rb") as file:
        data = file.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise ConfigError(f"{NAME} is larger than {LARGEST_FILE >> 20} MiB: it is no model's.")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{NAME} cannot be read: {error}.") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{NAME} is no JSON object.")
    return found


def _wrong(key: str, value: Any, wanted: str) -> ConfigError:
    try:
        shown = repr(value)
    except (ValueError, RecursionError):  # an integer of very many digits has no decimal form
        shown = "a value that cannot be shown"
    if len(shown) > LONGEST_SHOWN:
        shown = f"{shown[:LONGEST_SHOWN]}…"
    return ConfigError(f"{key} in {NAME} is {shown}: it must be {wanted}.", key)
