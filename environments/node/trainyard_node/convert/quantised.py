"""A model with whole numbers for its weights, by the package compressed-tensors, whose format
transformers and vLLM read. Weights are rounded to the nearest step; no data are needed."""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainyard_node.convert.schemes import SCHEMES
from trainyard_node.export.digest import digest_of
from trainyard_node.export.place import check_target, making
from trainyard_node.export.refused import Refused
from trainyard_node.export.told import Told, size_of
from trainyard_node.lora.output import Making, Rows, seal, write_shards
from trainyard_node.merge.folder import complete
from trainyard_node.merge.layout import HEAD, Piece
from trainyard_node.merge.merging import SHARD, Plan, check_apart, rows_of
from trainyard_node.merge.shape import rows_and_width
from trainyard_node.merge.writer import Shard, shards
from trainyard_node.shards.checkpoint import empty_model

PACKAGE, FORMAT = "compressed-tensors", "pack-quantized"
WORD = 32  # bits
EXPERTS = ".experts"


@dataclass(frozen=True)
class Quantised:
    """A plan whose layers' matrices are written as whole numbers with scales. Raises Refused where
    the package is missing, or a matrix cannot be quantised so."""

    plan: Plan
    name: str
    shard_bytes: int = SHARD
    _library: Any = field(init=False, repr=False)
    _linear: Mapping[str, Piece] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_library", _Library(*SCHEMES[self.name]))
        object.__setattr__(self, "_linear", self._found())

    @property
    def shards(self) -> tuple[Shard, ...]:
        tensors = [made for piece in self.plan.pieces for made in self._tensors(piece)]
        return tuple(shards(tensors, self.shard_bytes))

    @property
    def bytes_out(self) -> int:
        return sum(shard.size for shard in self.shards)

    def check(self, target: Path) -> None:
        """Raises Refused where `target` cannot be made."""
        check_apart(self.plan, target)
        check_target(target, self.bytes_out)

    def facts(self) -> dict[str, Any]:
        """How much there is to do: a matrix is read for its numbers and again for its scales."""
        again = sum(entry.bytes for piece in self._linear.values() for entry in piece.inputs)
        sizes = {"bytes_in": self.plan.bytes_in + again, "bytes_out": self.bytes_out}
        tensors = sum(len(shard.tensors) for shard in self.shards)
        return {"tensors": tensors, "quantised": len(self._linear), **sizes}

    def make(self, target: Path, told: Told, more: Mapping[str, Any]) -> None:
        """Make `target` and tell what it is. Raises Refused, and then leaves nothing behind."""
        self.check(target)
        plan, facts = self.plan, self.facts()
        for stored in plan.models.values():
            stored.watch()
        told.plan(facts["bytes_in"], facts["bytes_out"])
        with making(target) as folder:
            pieces = dict(self._pieces())
            write_shards(
                folder,
                self.shards,
                lambda name: self._rows(name, *pieces[name], told),
                told.written,
            )
            complete(plan.recipe, plan.models, plan.pieces, folder, plan.vocabulary)
            self._describe(folder)
            seal(folder, self.shards)
            facts |= {"bytes": size_of(folder), "digest": digest_of(folder)}
        told.finished()
        inputs = {
            key: value for each in plan.models.values() for key, value in each.inputs().items()
        }
        said = f"{target} is there: {len(self._linear)} matrices are quantised to {self.name}"
        told.event("made", said, path=str(target), **facts, **more, inputs=inputs)

    def _found(self) -> dict[str, Piece]:
        """The matrices of linear layers, but not the head, by their names."""
        stored = next(iter(self.plan.models.values()))
        names = {
            f"{name}.weight"
            for name, module in empty_model(stored.folder).named_modules()
            if isinstance(module, torch.nn.Linear)
        }
        of_layer = {_as_first(name) for name in names} - {HEAD}
        if any(EXPERTS in piece.name for piece in self.plan.pieces):
            raise Refused(f"{stored.root} is a mixture of experts, which is not quantised here.")
        found = {
            piece.name: piece for piece in self.plan.pieces if _as_first(piece.name) in of_layer
        }
        if not found:
            raise Refused(f"{stored.root} has no linear layer that could be quantised.")
        _, group = SCHEMES[self.name]
        for name, piece in found.items():
            if group and piece.shape[1] % group:
                raise Refused(
                    f"{name} has rows of {piece.shape[1]} numbers, which are no groups of {group}: "
                    f"{self.name} is not for this model. W8A16 has one scale for each row."
                )
        return found

    def _tensors(self, piece: Piece) -> Iterator[Making]:
        if piece.name not in self._linear:
            yield Making(piece.name, piece.shape, piece.dtype)
            return
        rows, width = rows_and_width(piece.shape)
        bits, group = SCHEMES[self.name]
        packed, scales = -(-width * bits // WORD), width // group if group else 1
        yield Making(f"{piece.name}_packed", (rows, packed), torch.int32)
        yield Making(f"{piece.name}_scale", (rows, scales), piece.dtype)
        yield Making(f"{piece.name}_shape", (2,), torch.int64)

    def _pieces(self) -> Iterator[tuple[str, tuple[Piece, str]]]:
        for piece in self.plan.pieces:
            for made in self._tensors(piece):
                yield made.name, (piece, made.name.removeprefix(piece.name))

    def _rows(self, name: str, piece: Piece, part: str, told: Told) -> Rows:
        if part == "_shape":
            yield torch.tensor(piece.shape)
            return
        for rows in rows_of(piece, self.plan):
            yield self._library.parts(rows, piece.dtype)[f"weight{part}"] if part else rows
        told.read(sum(entry.bytes for entry in piece.inputs))

    def _describe(self, folder: Path) -> None:
        path = folder / "config.json"
        config = json.loads(path.read_text()) | {"quantization_config": self._library.config()}
        path.write_text(json.dumps(config, indent=2) + "\n")
        with (folder / "README.md").open("a") as card:
            card.write(f"- {PACKAGE} {version(PACKAGE)}: {self.name}\n")


class _Library:
    """compressed-tensors. Raises Refused where it is not there."""

    def __init__(self, bits: int, group: int) -> None:
        try:
            from compressed_tensors.compressors import BaseCompressor
            from compressed_tensors.quantization import (
                QuantizationArgs,
                QuantizationConfig,
                QuantizationScheme,
            )
            from compressed_tensors.quantization.utils import calculate_qparams
        except ImportError as error:
            raise Refused(
                f"A quantised export needs the package {PACKAGE}, which {sys.executable} does not "
                f"have: {error}. Install it there: {sys.executable} -m pip install {PACKAGE}"
            ) from error
        size = {"group_size": group} if group else {}
        strategy = "group" if group else "channel"
        weights = QuantizationArgs(num_bits=bits, strategy=strategy, symmetric=True, **size)
        self._group, self._limits, self._configured = group, calculate_qparams, QuantizationConfig
        self._scheme = QuantizationScheme(targets=["Linear"], weights=weights)
        self._compressor = BaseCompressor.get_value_from_registry(FORMAT)

    def parts(self, rows: Tensor, dtype: torch.dtype) -> dict[str, Tensor]:
        """Rows of a matrix as numbers and their scales."""
        groups = rows.float().unflatten(1, (-1, self._group or rows.shape[1]))
        scale, _ = self._limits(groups.amin(-1), groups.amax(-1), self._scheme.weights)
        state = {"weight": rows.float(), "weight_scale": scale.to(dtype)}
        found: dict[str, Tensor] = self._compressor.compress(state, self._scheme)
        return found

    def config(self) -> dict[str, Any]:
        """What the model's configuration says of it."""
        made = self._configured(
            config_groups={"group_0": self._scheme}, ignore=["lm_head"], format=FORMAT,
            quantization_status="compressed",
        )  # fmt: skip
        found: dict[str, Any] = json.loads(made.model_dump_json())
        return found


def _as_first(name: str) -> str:
    """A name with 0 for each number in it, so that layers may have been moved."""
    return ".".join("0" if part.isdigit() else part for part in name.split("."))
