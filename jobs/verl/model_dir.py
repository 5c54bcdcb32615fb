"""A model folder in Hugging Face format: is it whole, and how long may its context be."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json")


@dataclass(frozen=True)
class ModelFacts:
    """``problem`` is a sentence, or empty; ``context`` is in tokens, ``heads`` are attention heads;
    each is None when the model does not state it."""

    problem: str = ""
    context: int | None = None
    heads: int | None = None


def inspect_model(path: Path) -> ModelFacts:
    """Look at a model folder without loading any weights."""
    try:
        return _inspect(path)
    except OSError as error:  # such as a name that is too long, or a folder that is closed to us
        return ModelFacts(f"{path} cannot be read: {error.strerror}.")


def _inspect(path: Path) -> ModelFacts:
    if not path.is_dir():
        return ModelFacts(f"There is no folder {path}.")
    try:
        config: Any = json.loads((path / "config.json").read_text())
    except FileNotFoundError:
        return ModelFacts(f"{path} has no config.json: it is not a Hugging Face model folder.")
    except (OSError, ValueError, RecursionError) as error:
        return ModelFacts(f"{path}/config.json cannot be read: {error}.")
    if not isinstance(config, dict) or "model_type" not in config:
        return ModelFacts(f"{path}/config.json names no model_type.")
    if not any(next(path.glob(pattern), None) for pattern in WEIGHTS):
        return ModelFacts(f"{path} has no weights (*.safetensors or pytorch_model*.bin).")
    if not any((path / name).is_file() for name in TOKENIZERS):
        return ModelFacts(f"{path} has no tokenizer (tokenizer.json or tokenizer.model).")
    # A model that sees more than text keeps its language model's figures one level down.
    inner: Any = config.get("text_config")
    text = inner if isinstance(inner, dict) else config
    context, heads = text.get("max_position_embeddings"), text.get("num_attention_heads")
    return ModelFacts(context=_whole(context), heads=_whole(heads))


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def cached_model(name: str, cache: Path) -> Path | None:
    """The snapshot of a hub model in a Hugging Face cache, or None when it was not fetched."""
    folder = cache / f"models--{name.replace('/', '--')}"
    try:
        commit = (folder / "refs/main").read_text().strip()
    except OSError:
        return None
    snapshot = folder / "snapshots" / commit
    return snapshot if snapshot.is_dir() else None
