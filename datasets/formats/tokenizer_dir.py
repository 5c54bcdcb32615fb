"""Load the tokenizer of a model folder, by the training release of transformers, without torch."""

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

FILES = (
    *("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json", "merges.txt"),
    *("chat_template.jinja", "chat_template.json", "special_tokens_map.json", "config.json"),
)
Fingerprint = tuple[tuple[str, int, int], ...]


class NoTemplate(ValueError):
    """The tokenizer has no chat template: no run can read conversations with it."""


def read_tokenizer(folder: Path) -> Any:
    """The tokenizer; the last few stay in memory while their files are unchanged.

    Raises ValueError with a sentence when there is no tokenizer, when it has no chat template, or
    when it needs code of its own (which is never run here).
    """
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}.")
    return _read(str(folder.resolve()), _fingerprint(folder))


def _fingerprint(folder: Path) -> Fingerprint:
    states = [(name, (folder / name).stat()) for name in FILES if (folder / name).is_file()]
    return tuple((name, state.st_mtime_ns, state.st_size) for name, state in states)


@lru_cache(maxsize=4)
def _read(folder: str, files: Fingerprint) -> Any:
    if not files:
        raise ValueError(f"{folder} has no tokenizer (tokenizer.json or tokenizer.model).")
    transformers = _transformers()
    # verl.utils.tokenizer.hf_tokenizer corrects this one model by name.
    corrected = {"eos_token": "<end_of_turn>"} if "gemma-2-2b-it" in folder else {}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True, **corrected
        )
    except Exception as error:  # transformers raises many kinds of errors for a broken file
        raise ValueError(_why_not(folder, error)) from error
    if not tokenizer.chat_template:
        raise NoTemplate(
            f"The tokenizer in {folder} has no chat template, and conversations are read through "
            "one. Take the tokenizer of the instruction-tuned model, or add a chat_template.jinja."
        )
    return tokenizer


def _transformers() -> Any:
    quiet = "TRANSFORMERS_NO_ADVISORY_WARNINGS"
    before = os.environ.get(quiet)
    os.environ[quiet] = "1"  # else transformers advises everybody to install torch
    try:
        import transformers
    except ImportError as error:
        raise ValueError(f"Tokens need the package transformers: {error}.") from error
    finally:
        os.environ.pop(quiet) if before is None else os.environ.update({quiet: before})
    return transformers


def _why_not(folder: str, error: Exception) -> str:
    if "trust_remote_code" in str(error):
        return (
            f"The tokenizer in {folder} brings Python code of its own, which Trainyard does not "
            "run. A tokenizer of transformers' own kinds can be shown."
        )
    first = next(iter(str(error).splitlines()), type(error).__name__)
    return f"The tokenizer in {folder} cannot be read: {first}"
