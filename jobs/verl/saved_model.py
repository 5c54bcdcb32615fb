"""The Hugging Face folder in a run's checkpoints, from which another run can train."""

import json
import re
from collections.abc import Callable, Collection, Iterable
from functools import partial

from jobs.verl.algorithms import is_rl
from jobs.verl.checkpoints import FileFact
from jobs.verl.knobs import chosen, number
from jobs.verl.spec import TrainSpec

FOLDER = re.compile(r"(global_step_([0-9]{1,9})/(?:actor/)?huggingface)/([^/]+)")
INDEX = "model.safetensors.index.json"
Read = Callable[[str], bytes]


def leaves_no_model(spec: TrainSpec) -> str:
    """The reason why a run's last checkpoint will hold no complete model; empty when it will."""
    if number(spec, "lora_rank", 0):
        return "it trains a LoRA adapter, and what it saves is no whole model"
    if not _has_folder(spec):
        return "its checkpoints have no Hugging Face folder ('In a checkpoint')"
    if _never_saves(spec):
        return "it never saves ('Save every')"
    return ""


def saves_model(spec: TrainSpec) -> bool:
    """Whether a run writes a model in Hugging Face format, be it one with an adapter."""
    return _has_folder(spec) and not _never_saves(spec)


def _has_folder(spec: TrainSpec) -> bool:
    return "hf_model" in chosen(spec, "save_contents")


def _never_saves(spec: TrainSpec) -> bool:
    return is_rl(spec.kind) and number(spec, "save_freq", -1) <= 0


def expected_folder(spec: TrainSpec) -> str:
    """The folder's place below ``checkpoints/``; N stands for the step."""
    return f"global_step_N/{'actor/' if is_rl(spec.kind) else ''}huggingface"


def newest_model(files: Iterable[FileFact], latest: int | None, read: Read) -> str | None:
    """The newest complete Hugging Face folder, as a path below ``checkpoints/``.

    ``latest`` is the last step that verl reports as saved, None where its report is lost: then the
    files alone say what is complete. ``read`` returns a file's bytes. A
    complete folder has ``config.json`` and weights: one file, or all parts that the index names.
    """
    found: dict[tuple[int, str], set[str]] = {}
    for file in files:
        match = FOLDER.fullmatch(file.path)
        if match and file.size and (latest is None or int(match[2]) <= latest):
            found.setdefault((int(match[2]), match[1]), set()).add(match[3])
    for (_, folder), names in sorted(found.items(), reverse=True):
        if is_whole(names, partial(_read_in, read, folder)):
            return folder
    return None


def _read_in(read: Read, folder: str, name: str) -> bytes:
    return read(f"{folder}/{name}")


def is_whole(names: Collection[str], read: Read) -> bool:
    """Whether a Hugging Face folder has its configuration and all of its weights, by the names of
    its files that are not empty."""
    return "config.json" in names and _has_weights(names, read)


def _has_weights(names: Collection[str], read: Read) -> bool:
    if INDEX not in names:
        return "model.safetensors" in names or "pytorch_model.bin" in names
    try:
        return set(json.loads(read(INDEX))["weight_map"].values()) <= set(names)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False
