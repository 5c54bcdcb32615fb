"""Inspect a model folder in Hugging Face format: can it be loaded, and how long is its context."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from compute.sizing.config_file import (
    HEADS,
    LAYERS,
    LONGEST,
    MOST_HEADS,
    POSITIONS,
    ConfigError,
    ModelConfig,
    read_config,
)
from compute.sizing.facts import MOST_LAYERS, MOST_TOKENS, tied_of
from compute.sizing.families import FAMILIES
from jobs.verl.generation import generation_problem
from jobs.verl.quantised import method_of
from jobs.verl.weights import Shape, WeightsError, read_shapes, refuse_pointer

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json")
EMBEDDING = re.compile(
    r"((language_model\.)?model\.|model\.language_model\.)?embed_tokens\.weight"
    r"|(transformer\.)?wte\.weight"
)
LAYER = re.compile(r"(?:model\.)?layers\.(\d{1,5})\.")
# Objects of a config.json whose model sees or hears: verl chooses its class by the model type.
OTHER_SENSES = ("vision_config", "audio_config", "vq_config", "thinker_config")
LANGUAGE_HEADS = ("ForCausalLM", "ForVision2Seq")
REMOTE_HEADS = ("AutoModelForCausalLM", "AutoModelForVision2Seq", "AutoModelForImageTextToText")


@dataclass(frozen=True)
class ModelFolder:
    """The contents of a model folder. ``problem`` is a sentence, or empty. ``context`` is in
    tokens, ``heads`` are attention heads; each is None when the model does not state it.

    ``headless`` says why verl would load it without a head over its vocabulary, ``unsaved`` why
    transformers would not save it; ``quantised`` is how its weights are packed. All may be empty.
    """

    problem: str = ""
    context: int | None = None
    heads: int | None = None
    headless: str = ""
    unsaved: str = ""
    quantised: str = ""


def inspect_model(path: Path) -> ModelFolder:
    """Inspect a model folder without loading any weights."""
    try:
        return _inspect(path)
    except OSError as error:  # such as a name that is too long, or a folder that we may not read
        return ModelFolder(f"{path} cannot be read: {error.strerror}.")
    except ConfigError as error:
        return ModelFolder(f"{path}: {error}")
    except WeightsError as error:
        return ModelFolder(str(error))


def _inspect(path: Path) -> ModelFolder:
    if not path.is_dir():
        return ModelFolder(f"There is no folder {path}.")
    if not (path / "config.json").is_file():
        return ModelFolder(f"{path} has no config.json: it is not a Hugging Face model folder.")
    refuse_pointer(path / "config.json")
    config = read_config(path / "config.json")
    shapes = read_shapes(path)
    tokenizers = [path / name for name in TOKENIZERS if (path / name).is_file()]
    if not tokenizers:
        return ModelFolder(f"{path} has no tokenizer (tokenizer.json or tokenizer.model).")
    for file in tokenizers:
        refuse_pointer(file)
    class_name = _class_of(config)
    _compare(path, config, class_name, shapes)
    return ModelFolder(
        context=config.whole(*POSITIONS, most=LONGEST),
        heads=config.whole(*HEADS, most=MOST_HEADS),
        headless=_headless(path, config, class_name),
        unsaved=generation_problem(path),
        quantised=method_of(config.outer),
    )


def _class_of(config: ModelConfig) -> str:
    """The one class that the file must name for verl. Raises ``ConfigError``."""
    named = config.outer.get("architectures")
    if not isinstance(named, list) or len(named) != 1 or not isinstance(named[0], str):
        what = "names no class" if not named else "does not name one class"
        raise ConfigError(f"config.json {what} in architectures, and verl needs one.")
    return named[0]


def _headless(path: Path, config: ModelConfig, class_name: str) -> str:
    remote = config.outer.get("auto_map")
    told = remote.items() if isinstance(remote, dict) else ()
    loader = next((key for key, value in told if class_name in str(value)), None)
    if loader is not None:
        has_head = loader in REMOTE_HEADS
    else:
        senses = any(name in config.outer for name in OTHER_SENSES)
        has_head = senses or any(name in class_name for name in LANGUAGE_HEADS)
    if has_head:
        return ""
    return (
        f"{path} has the class {class_name}, which verl would load without a language head: it "
        "trains classes named …ForCausalLM."
    )


def _compare(path: Path, config: ModelConfig, class_name: str, shapes: Mapping[str, Shape]) -> None:
    """Compare config.json with the weights. Raises ``ConfigError``."""
    vocabulary = config.whole("vocab_size", most=MOST_TOKENS)
    name = next(filter(EMBEDDING.fullmatch, shapes), None)
    if vocabulary and name and shapes[name] and shapes[name][0] != vocabulary:
        raise ConfigError(
            f"vocab_size in config.json is {vocabulary}, and {name} in the weights has "
            f"{shapes[name][0]} rows."
        )
    layers = config.whole(*LAYERS, most=MOST_LAYERS)
    numbers = {int(match[1]) for match in map(LAYER.match, shapes) if match}
    if layers and numbers and max(numbers) + 1 < layers:
        raise ConfigError(
            f"config.json has {layers} layers, and the weights have {max(numbers) + 1}: the others "
            "would begin at random."
        )
    if _lacks_head(config, class_name, shapes):
        raise ConfigError(
            "the weights have no lm_head.weight, and config.json does not tie it to the embedding: "
            "it would begin at random. Set tie_word_embeddings to true if the model has no other."
        )


def _lacks_head(config: ModelConfig, class_name: str, shapes: Mapping[str, Shape]) -> bool:
    family = FAMILIES.get(config.model_type)
    if not (family and shapes and "ForCausalLM" in class_name) or method_of(config.outer):
        return False
    has_head = any(name.endswith("lm_head.weight") for name in shapes)
    return not tied_of(config, family) and not has_head


def cached_model(name: str, cache: Path) -> Path | None:
    """The snapshot of a hub model in a Hugging Face cache, or None when it was not downloaded."""
    folder = cache / f"models--{name.replace('/', '--')}"
    try:
        commit = (folder / "refs/main").read_text().strip()
    except OSError:
        return None
    snapshot = folder / "snapshots" / commit
    return snapshot if snapshot.is_dir() else None
