"""The tensors of a verl FSDP checkpoint, read by rows out of the shards of all ranks.

The files are mapped into memory and nothing but tensors is unpickled. A `Checkpoint` stands in for
the folder of a model: an adapter is folded in, and tied embeddings are there once.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from trainyard_node.export.adapter import TIED, adapter_names, pairs, plain, scale_of
from trainyard_node.export.check import check_state
from trainyard_node.export.refused import Refused
from trainyard_node.export.source import Source, find_source
from trainyard_node.merge.digests import bytes_of
from trainyard_node.merge.layout import EMBEDDING, HEAD
from trainyard_node.merge.stored import Entry, Stored
from trainyard_node.merge.tied import is_tied
from trainyard_node.shards.parts import Parts

CAUSAL = "ForCausalLM"
WRAPPED = "base_model."


class Checkpoint(Stored):
    """A `global_step_N` folder as a model. `folder` is where its configuration lies.

    Raises Refused unless each tensor of the model is there, in its shape, and no other.
    """

    def __init__(self, path: Path) -> None:
        self.source: Source = find_source(path)
        self._parts: Mapping[str, Parts] = {}
        self._changes: Mapping[str, tuple[Tensor, Tensor]] = {}
        self._scale = 0.0
        super().__init__(self.source.description)
        self.root = path
        _check_prefix(self.entries, path)
        check_state(self.entries, empty_model(self.source.description))

    @property
    def files(self) -> list[Path]:
        return list(self.source.shards)

    def _read_entries(self) -> dict[str, Entry]:
        held = [_load(path) for path in self.source.shards]
        _check_names(held, self.source.shards)
        parts = {name: Parts(name, [each[name] for each in held]) for name in held[0]}
        if adapter_names(parts):
            self._take_adapter(parts)
        self._parts = {plain(name): each for name, each in parts.items() if "lora_" not in name}
        self._drop_tied()
        first = self.source.shards[0]
        return {
            name: Entry(name, self._parts[name].shape, self._parts[name].dtype, first)
            for name in sorted(self._parts)
        }

    def rows(self, name: str, first: int, end: int) -> Tensor:
        """Rows of a tensor as (rows, width), in its own type; a vector is one row."""
        rows = self._parts[name].rows(first, end)
        self.seen(name, first, rows)
        if name in self._changes:
            down, up = self._changes[name]
            change = up[first:end].float() @ down.float() * self._scale
            rows = (rows.float() + change).to(rows.dtype)
        return rows

    def picked(self, name: str, numbers: Sequence[int]) -> Tensor:
        """Some rows of a matrix, as `rows` gives them."""
        return torch.cat([self.rows(name, number, number + 1) for number in numbers])

    def beside(self) -> list[str]:
        """The adapter's matrices and their scale."""
        return [
            f"{name} {self._scale!r} {sha256(bytes_of(down)).hexdigest()} "
            f"{sha256(bytes_of(up)).hexdigest()}"
            for name, (down, up) in sorted(self._changes.items())
        ]

    def _take_adapter(self, parts: dict[str, Parts]) -> None:
        """The adapter's matrices are small: they are held whole."""
        self._scale = scale_of(self.source.adapter())
        whole = {name: parts[name].whole() for name in adapter_names(parts)}
        changes = {}
        for layer, (down, up) in pairs(whole).items():
            weight = parts.get(f"{layer}.base_layer.weight")
            if weight is None or weight.shape != (up.shape[0], down.shape[1]):
                raise Refused(f"The adapter of {plain(layer)} does not fit its weight.")
            changes[plain(f"{layer}.base_layer.weight")] = (down, up)
        self._changes = changes

    def _drop_tied(self) -> None:
        """transformers saves tied embeddings once."""
        has_embedding = any(name.endswith(EMBEDDING) for name in self._parts)
        if HEAD in self._parts and has_embedding and is_tied(self.config):
            if HEAD in self._changes:
                raise Refused(TIED)
            self._parts = {name: each for name, each in self._parts.items() if name != HEAD}


def _load(path: Path) -> dict[str, Any]:
    try:
        state = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except Exception as error:
        words = " ".join(str(error).split())[:300]
        raise Refused(f"{path} holds more than tensors, or is cut off: {words}") from error
    if not isinstance(state, dict) or not state:
        raise Refused(f"{path} is no mapping of names to tensors.")
    for name, value in state.items():
        if not isinstance(value, Tensor | DTensor):
            raise Refused(f"{name} of {path} is a {type(value).__name__}, and no tensor.")
    return state


def _check_names(held: Sequence[Mapping[str, Any]], paths: Sequence[Path]) -> None:
    for state, path in zip(held, paths, strict=True):
        if odd := sorted(state.keys() ^ held[0].keys()):
            raise Refused(f"{path.name} and {paths[0].name} differ in their tensors: {odd[0]}.")


def _check_prefix(names: Mapping[str, Entry], path: Path) -> None:
    """What peft wraps a model in has been taken off the names of all that peft wraps."""
    odd = [name for name in names if name.startswith(WRAPPED)]
    if odd:
        raise Refused(
            f"{path} holds {len(odd)} tensors whose names begin with {WRAPPED} and are none of its "
            f"model's, the first is {odd[0]}. Save the checkpoint without what wraps the model."
        )


def empty_model(folder: Path) -> Any:
    """The model that the configuration describes, without memory for its weights."""
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(folder)
        if not config.architectures[0].endswith(CAUSAL):
            raise Refused(
                f"{folder} is a {config.architectures[0]}: only language models ({CAUSAL}) are "
                "read out of their shards. Export the checkpoint instead."
            )
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config)
    except (ValueError, OSError, KeyError, ImportError) as error:
        raise Refused(f"transformers does not know the model of {folder}: {error}") from error
