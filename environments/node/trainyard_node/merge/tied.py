"""Whether a model's output head is its embedding."""

from collections.abc import Mapping
from typing import Any

KEY = "tie_word_embeddings"


def is_tied(config: Mapping[str, Any]) -> bool:
    """What the configuration says, or else what transformers' class for it begins with: a
    configuration leaves out what is as in its class."""
    for each in (config, config.get("text_config")):
        if isinstance(each, Mapping) and KEY in each:
            return bool(each[KEY])
    return _begins_tied(str(config.get("model_type")))


def _begins_tied(model_type: str) -> bool:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    try:
        return bool(getattr(CONFIG_MAPPING[model_type](), KEY, False))
    except (KeyError, ValueError, TypeError, ImportError):
        return False  # a model that transformers does not know
