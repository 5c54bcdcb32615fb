"""A model's config.json in an address: an upload becomes a part of the link."""

import base64
import json
import zlib
from functools import lru_cache
from typing import Any

from compute.sizing.config_file import LARGEST_FILE, ConfigError
from compute.sizing.facts import ModelFacts, read_facts

LONGEST = 3_000  # characters in an address
LARGEST = 1 << 16  # bytes of what they hold
LONGEST_LIST = 200  # such as the kind of each layer
LEFT_OUT = {"quantization_config", "auto_map", "id2label", "label2id", "vision_config"}


def pack(data: bytes) -> str:
    """The text that stands for an uploaded config.json. Raises ``ConfigError``."""
    if len(data) > LARGEST_FILE:
        raise ConfigError(f"It is larger than {LARGEST_FILE >> 20} MiB: it is no config.json.")
    try:
        config = json.loads(data)
    except (ValueError, RecursionError):
        raise ConfigError("It is no JSON: choose the config.json of a model.") from None
    if not isinstance(config, dict):
        raise ConfigError("It is no JSON object: choose the config.json of a model.")
    read_facts(config)
    text = json.dumps(_small(config), separators=(",", ":"))
    packed = base64.urlsafe_b64encode(zlib.compress(text.encode(), 9)).decode().rstrip("=")
    if len(packed) > LONGEST:
        raise ConfigError("It holds too much for an address: name the model's folder instead.")
    return packed


@lru_cache(maxsize=64)
def unpack(text: str) -> ModelFacts:
    """The model that an address carries. Raises ``ConfigError``."""
    try:
        padded = text + "=" * (-len(text) % 4)
        compressed = base64.b64decode(padded, altchars=b"-_", validate=True)
        inflated = zlib.decompressobj().decompress(compressed, LARGEST)
        config = json.loads(inflated)
    except (ValueError, RecursionError, zlib.error):
        config = None
    if len(text) > LONGEST or not isinstance(config, dict):
        raise ConfigError("The link does not hold the whole config.json: upload it again.")
    return read_facts(config)


def _small(config: dict[str, Any]) -> dict[str, Any]:
    """Without what no estimate reads and takes much room."""
    return {
        key: _small(value) if isinstance(value, dict) else value
        for key, value in config.items()
        if key not in LEFT_OUT and not (isinstance(value, list) and len(value) > LONGEST_LIST)
    }
