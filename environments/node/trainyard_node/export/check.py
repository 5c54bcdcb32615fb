"""Whether a merged model is all there, before it is written and after."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open

from trainyard_node.export.refused import Refused

SHOWN = 3  # names that a sentence can hold
# Files beside the weights: those that the checkpoint has, the result must have as well.
KEPT = (
    "config.json", "generation_config.json", "tokenizer_config.json", "tokenizer.json",
    "chat_template.jinja", "preprocessor_config.json",
)  # fmt: skip


def check_state(state: Mapping[str, Any], model: Any) -> None:
    """Raises Refused unless `state` has each tensor of `model`, in its shape, and no other.

    Of tied tensors (embeddings) one is enough.
    """
    expected = model.state_dict()
    same = _tied(model)
    missing = [
        name for name in expected if name not in state and not same.get(name, set()) & state.keys()
    ]
    _refuse("does not hold", missing)
    _refuse("holds, though its architecture has no such tensor,", state.keys() - expected.keys())
    wrong = [name for name in state if tuple(state[name].shape) != tuple(expected[name].shape)]
    _refuse("holds in another shape than its config.json says", wrong)


def check_result(folder: Path, description: Path, auto_class: Any, **options: Any) -> None:
    """Raises Refused unless transformers finds the whole model in `folder`, and what belongs to
    it. The weights' bytes are not loaded: names and shapes are compared."""
    lacking = [name for name in KEPT if (description / name).is_file()]
    lacking = [name for name in lacking if not _has_content(folder / name)]
    if lacking:
        raise Refused(f"The merged folder has no {', '.join(lacking)}.")
    _check_index(folder)
    _, found = auto_class.from_pretrained(
        folder,
        device_map="meta",
        output_loading_info=True,
        ignore_mismatched_sizes=True,
        **options,
    )
    _refuse("was written without", found["missing_keys"])
    _refuse("was written with foreign tensors", found["unexpected_keys"])
    _refuse("was written with wrong shapes", [str(key) for key in found["mismatched_keys"]])


def check_adapter(folder: Path, tensors: int) -> None:
    """Raises Refused unless the adapter beside the weights has so many tensors; 0 for none."""
    found = len(tensor_names(folder / "lora_adapter"))
    if found != tensors:
        raise Refused(f"The adapter has {tensors} tensors, and {found} of them were written.")


def tensor_names(folder: Path) -> list[str]:
    """The names of all tensors in the safetensors files right in a folder."""
    names: list[str] = []
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            names += file.keys()
    return names


def _tied(model: Any) -> dict[str, set[str]]:
    """By the name of a parameter, all names of the same one."""
    names: dict[int, set[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), set()).add(name)
    return {name: group for group in names.values() for name in group}


def _check_index(folder: Path) -> None:
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        return
    files = set(json.loads(index.read_text())["weight_map"].values())
    lacking = sorted(name for name in files if not _has_content(folder / name))
    if lacking:
        raise Refused(f"{len(lacking)} of {len(files)} files of weights are missing: {lacking[0]}.")


def _has_content(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _refuse(what: str, names: Iterable[str]) -> None:
    found = sorted(names)
    if found:
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        shown = ", ".join(found[:SHOWN])
        raise Refused(f"The merged model {what} {len(found)} tensors: {shown}{more}.")
