"""Inspect a model folder in Hugging Face format: is it complete, and how long is its context."""

import re
from dataclasses import dataclass
from pathlib import Path

from compute.sizing.config_file import (
    HEADS,
    LONGEST,
    MOST_HEADS,
    POSITIONS,
    ConfigError,
    read_config,
)

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json")


@dataclass(frozen=True)
class ModelFolder:
    """The contents of a model folder. ``problem`` is a sentence, or empty. ``context`` is in
    tokens, ``heads`` are attention heads; each is None when the model does not state it.
    """

    problem: str = ""
    context: int | None = None
    heads: int | None = None


def inspect_model(path: Path) -> ModelFolder:
    """Inspect a model folder without loading any weights."""
    try:
        return _inspect(path)
    except OSError as error:  # such as a name that is too long, or a folder that we may not read
        return ModelFolder(f"{path} cannot be read: {error.strerror}.")
    except ConfigError as error:
        return ModelFolder(f"{path}: {error}")


def _inspect(path: Path) -> ModelFolder:
    if not path.is_dir():
        return ModelFolder(f"There is no folder {path}.")
    try:
        config = read_config(path / "config.json")
    except FileNotFoundError:
        return ModelFolder(f"{path} has no config.json: it is not a Hugging Face model folder.")
    if not any(next(path.glob(pattern), None) for pattern in WEIGHTS):
        return ModelFolder(f"{path} has no weights (*.safetensors or pytorch_model*.bin).")
    if not any((path / name).is_file() for name in TOKENIZERS):
        return ModelFolder(f"{path} has no tokenizer (tokenizer.json or tokenizer.model).")
    return ModelFolder(
        context=config.whole(*POSITIONS, most=LONGEST), heads=config.whole(*HEADS, most=MOST_HEADS)
    )


def cached_model(name: str, cache: Path) -> Path | None:
    """The snapshot of a hub model in a Hugging Face cache, or None when it was not downloaded."""
    folder = cache / f"models--{name.replace('/', '--')}"
    try:
        commit = (folder / "refs/main").read_text().strip()
    except OSError:
        return None
    snapshot = folder / "snapshots" / commit
    return snapshot if snapshot.is_dir() else None
