"""Adapters into a base model, tensor by tensor and in rows, so that memory is bounded."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainyard_node.export.refused import Refused
from trainyard_node.export.told import Told
from trainyard_node.lora.adapter import Adapter, Pair
from trainyard_node.lora.output import Making, Rows, seal, write_shards
from trainyard_node.merge.beside import OF_MODEL, TOKENIZER, copy_beside, files_beside
from trainyard_node.merge.digests import MEANING
from trainyard_node.merge.inputs import is_finite
from trainyard_node.merge.layout import EMBEDDING, HEAD
from trainyard_node.merge.shape import rows_and_width
from trainyard_node.merge.stored import Stored
from trainyard_node.merge.tied import is_tied
from trainyard_node.merge.writer import Shard, shards

SHARD = 5_000_000_000  # bytes
CHUNK = 1 << 20  # elements that are worked on at a time
BESIDE = (*OF_MODEL, *TOKENIZER)


@dataclass(frozen=True)
class Plan:
    """A merge that can be done. `sources` has the base's tensor of each tensor that is made."""

    base: Stored
    adapters: tuple[Adapter, ...]
    sources: Mapping[str, str]
    shards: tuple[Shard, ...]
    unties: bool  # the head and the embeddings were one tensor, and are two afterwards

    @property
    def bytes_in(self) -> int:
        return sum(self.base.entries[name].bytes for name in self.sources.values())

    @property
    def bytes_out(self) -> int:
        return sum(shard.size for shard in self.shards)

    @property
    def changed(self) -> int:
        """How many tensors the adapters change."""
        return len({name for each in self.adapters for name in (*each.pairs, *each.saved)})


def plan(base: Stored, adapters: Sequence[Adapter], dtype: str = "") -> Plan:
    """Look at all that is known before the work. Raises Refused."""
    if adapters[1:] and any(each.config.get("use_dora") for each in adapters):
        raise Refused("A DoRA adapter is merged alone: its weights are not a sum.")
    sources = {name: name for name in base.entries}
    touched = {name for each in adapters for name in (*each.pairs, *each.saved)}
    unties = _unties(base, adapters, sources)
    if missing := sorted(touched - sources.keys()):
        raise Refused(
            f"{base.root} has no {missing[0]}, which the adapter changes"
            + (f", and {len(missing) - 1} more tensors." if missing[1:] else ".")
        )
    for each in adapters:
        _check(base, each, sources)
    files_beside(base.folder, BESIDE)
    made = [_making(base, name, source, dtype) for name, source in sources.items()]
    return Plan(base, tuple(adapters), sources, tuple(shards(made, SHARD)), unties)


def merge(made: Plan, folder: Path, told: Told) -> None:
    """Write the merged model into `folder`, which is there and empty. Raises Refused."""
    told.plan(made.bytes_in, made.bytes_out)
    made.base.watch()

    def rows_of(name: str) -> Rows:
        yield from merged_rows(made, name)
        told.read(made.base.entries[made.sources[name]].bytes)

    write_shards(folder, made.shards, rows_of, told.written)
    _complete(made, folder)
    seal(folder, made.shards)


def merged_rows(made: Plan, name: str) -> Rows:
    """A tensor of the result by rows; as it is stored where no adapter changes it."""
    rows, width = rows_and_width(made.base.entries[made.sources[name]].shape)
    step, matrices = max(1, CHUNK // max(1, width)), matrices_of(made, name)
    for first in range(0, rows, step):
        yield merged_part(made, name, first, min(rows, first + step), matrices)


Matrices = tuple[Pair, Tensor, Tensor, Tensor | None] | None


def matrices_of(made: Plan, name: str) -> list[Matrices]:
    """The matrices of each adapter that changes a tensor; None for one that puts it whole."""
    return [_matrices(each, each.pairs.get(name)) for each in _changing(made, name)]


def merged_part(
    made: Plan, name: str, first: int, end: int, matrices: Sequence[Matrices]
) -> Tensor:
    """Some rows of a tensor of the result, in the working precision where an adapter changes it.
    Raises Refused for NaN."""
    base, source = made.base, made.sources[name]
    part = base.rows(source, first, end)
    if part.is_floating_point() and not is_finite(part):
        raise Refused(f"{source} of {base.root} holds NaN or infinite values.")
    if changing := _changing(made, name):
        part = part.to(_working(part.dtype))
        part = _changed(part, name, changing, matrices, first, end)
    return part


def _changing(made: Plan, name: str) -> list[Adapter]:
    return [each for each in made.adapters if name in each.pairs or name in each.saved]


def _matrices(adapter: Adapter, pair: Pair | None) -> Matrices:
    if pair is None:
        return None
    magnitude = adapter.tensor(pair.magnitude).reshape(-1).float() if pair.magnitude else None
    return pair, adapter.tensor(pair.down).float(), adapter.tensor(pair.up).float(), magnitude


def _changed(
    part: Tensor, name: str, adapters: Sequence[Adapter], matrices: Sequence[Matrices],
    first: int, end: int,
) -> Tensor:  # fmt: skip
    start = part
    for each in adapters:
        if saved := each.saved.get(name):
            put = each.rows(saved, first, end).to(start.dtype)
            is_alone = part is start and each.weight == 1
            part = put if is_alone else part + each.weight * (put - start)
    for each, found in zip(adapters, matrices, strict=True):
        if found is not None:
            part = _added(part, found, each.weight, first, end)
    return part


def _added(part: Tensor, found: tuple[Any, ...], weight: float, first: int, end: int) -> Tensor:
    pair, down, up, magnitude = found
    turned = (up @ down[:, first:end]).T if pair.is_turned else up[first:end] @ down
    part = part + turned.to(part.dtype) * (pair.scale * weight)
    if magnitude is None:
        return part
    lengths = torch.linalg.vector_norm(part, dim=1)
    return part * (magnitude[first:end].to(part.dtype) / lengths).unsqueeze(1)


def _working(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def _unties(base: Stored, adapters: Sequence[Adapter], sources: dict[str, str]) -> bool:
    """Whether the head and the embeddings become two tensors; gives the head its source.

    An adapter of one of the two leaves the other as it is.
    """
    embeddings = [name for name in base.entries if name.endswith(EMBEDDING)]
    if HEAD in sources or len(embeddings) != 1 or not is_tied(base.config):
        return False
    for each in adapters:  # peft saves the base's embeddings once more under both names
        if HEAD in each.saved and embeddings[0] in each.saved and HEAD not in each.pairs:
            head, own = each.saved[HEAD], each.saved[embeddings[0]]
            if _is_base(base, embeddings[0], each.tensor(head), each.tensor(own)):
                del each.saved[HEAD]
                sources[HEAD] = embeddings[0]
    touched = {name for each in adapters for name in (*each.pairs, *each.saved)}
    if HEAD in touched or embeddings[0] in touched:
        sources[HEAD] = embeddings[0]
    return HEAD in sources


def _is_base(base: Stored, name: str, *copies: Tensor) -> bool:
    """Whether all are what the base has."""
    whole = base.rows(name, 0, base.entries[name].shape[0]).float()
    return all(torch.equal(each.float(), whole) for each in copies)


def _check(base: Stored, adapter: Adapter, sources: Mapping[str, str]) -> None:
    for name in (*adapter.pairs, *adapter.saved):
        if not base.entries[sources[name]].dtype.is_floating_point:
            raise Refused(
                f"{name} of {base.root} is quantised ({base.entries[sources[name]].dtype}): an "
                "adapter is merged into weights of floating point."
            )
    for name, pair in adapter.pairs.items():
        shape = base.entries[sources[name]].shape
        own = (adapter.shape(pair.up)[0], adapter.shape(pair.down)[1])
        if (own[::-1] if pair.is_turned else own) != shape:
            raise Refused(
                f"The adapter {adapter.folder} does not fit {name}, which is {list(shape)}."
            )
        if pair.magnitude:
            _check_dora(adapter, pair, name)
    for name, saved in adapter.saved.items():
        shape, given = base.entries[sources[name]].shape, adapter.shape(saved)
        if given != shape:
            raise Refused(
                f"{name} is {list(given)} in the adapter {adapter.folder} and {list(shape)} in "
                f"{base.root}. Change the base's vocabulary first."
            )


def _check_dora(adapter: Adapter, pair: Pair, name: str) -> None:
    if adapter.weight != 1:
        raise Refused(f"{adapter.folder} is a DoRA adapter, which is merged with weight 1 only.")
    if pair.is_turned:
        raise Refused(f"{adapter.folder} has DoRA with fan_in_fan_out, which is not merged here.")
    size = 1
    for length in adapter.shape(pair.magnitude):
        size *= length
    if size != adapter.shape(pair.up)[0]:
        raise Refused(f"The magnitude of {name} in {adapter.folder} does not fit its weight.")


def _making(base: Stored, name: str, source: str, dtype: str) -> Making:
    entry = base.entries[source]
    casts = bool(dtype) and entry.dtype.is_floating_point
    return Making(name, entry.shape, getattr(torch, dtype) if casts else entry.dtype)


def _complete(made: Plan, folder: Path) -> None:
    """All but the weights."""
    config = dict(made.base.config)
    if made.unties:
        config["tie_word_embeddings"] = False
    kinds = (each.dtype for shard in made.shards for each in shard.tensors)
    config.pop("torch_dtype", None)
    config["dtype"] = str(next(kind for kind in kinds if kind.is_floating_point))[6:]
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    copy_beside(made.base.folder, BESIDE, folder)
    (folder / "README.md").write_text("\n".join(_card(made)) + "\n")


def _card(made: Plan) -> Iterator[str]:
    yield from ("---", "tags: [merge, lora]", "---", "", "# LoRA adapters in a base model", "")
    yield f"- base: `{made.base.root}`, SHA-256 `{made.base.digest()}`"
    for each in made.adapters:
        size = f"weight {each.weight:g}, {len(each.pairs)} weights"
        yield f"- adapter: `{each.folder}`, {size}, SHA-256 of its file `{each.digest()}`"
    yield from ("", MEANING)
    yield from ("", "## Made with", "")
    for name in ("trainyard-node", "torch", "safetensors"):
        yield f"- {name} {version(name)}"
