"""Which tensors a merge makes, each out of which tensors of which models."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from trainyard_node.export.refused import Refused
from trainyard_node.merge.recipe import Recipe, Slice, Source
from trainyard_node.merge.stored import Entry, Stored

LAYER = re.compile(r"^((?:.*?\.)?(?:layers|layer|h|blocks)\.)(\d+)(\..*)$")
HEAD, EMBEDDING = "lm_head.weight", "embed_tokens.weight"
AT_THE_END = re.compile(r"(^|\.)(lm_head|score|head|norm|ln_f|final_layernorm)\b")
Models = Mapping[str, Stored]


@dataclass(frozen=True)
class Piece:
    """One tensor of the result. `inputs` has the tensor of each source of `of`, in their order;
    `depth` is the place of its layer in the slice, from 0 to 1."""

    name: str
    dtype: torch.dtype
    inputs: tuple[Entry, ...]
    of: Slice
    depth: float = 0.0

    @property
    def shape(self) -> tuple[int, ...]:
        return self.inputs[0].shape

    @property
    def bytes(self) -> int:
        return Entry(self.name, self.shape, self.dtype, self.inputs[0].file).bytes


def layout(recipe: Recipe, models: Models) -> list[Piece]:
    """All tensors of the result. Raises Refused where the models do not fit together."""
    pieces = list(_whole(recipe, models) if recipe.is_whole else _stacked(recipe, models))
    for piece in pieces:
        _check_shapes(piece, models)
    return pieces


def layer_count(stored: Stored) -> int:
    """How many layers its tensors have."""
    found = [int(match[2]) for name in stored.entries if (match := LAYER.match(name))]
    return max(found, default=-1) + 1


def _whole(recipe: Recipe, models: Models) -> Iterator[Piece]:
    (only,) = recipe.slices
    stored = [models[source.model] for source in only.sources]
    first = stored[only.base_index or 0]
    _check_depths(only, stored)
    names = list(first.entries)
    if HEAD not in names and any(HEAD in each.entries for each in stored):
        names.append(HEAD)
    for source, each in zip(only.sources, stored, strict=True):
        if extra := sorted(set(each.entries) - set(names)):
            raise Refused(f"{source.model} has {_named(extra)}, which {first.folder} has not.")
    count = layer_count(first)
    for name in names:
        match = LAYER.match(name)
        yield _piece(name, [name] * len(stored), only, models, recipe,
                     _depth(int(match[2]), count) if match else 0.0)  # fmt: skip


def _check_depths(only: Slice, stored: list[Stored]) -> None:
    counts = [layer_count(each) for each in stored]
    for source, count in zip(only.sources, counts, strict=True):
        if count != counts[0]:
            raise Refused(
                f"{source.model} has {count} layers, and {only.sources[0].model} has {counts[0]}."
            )


def _stacked(recipe: Recipe, models: Models) -> Iterator[Piece]:
    slices = recipe.slices
    for each in slices:
        for source in each.sources:
            assert source.layers
            if source.layers[1] > (count := layer_count(models[source.model])):
                raise Refused(f"{source.model} has {count} layers, and layer_range ends at "
                              f"{source.layers[1]}.")  # fmt: skip
    _check_heads(slices, models)
    yield from _outside(slices[0], recipe, models, at_end=False)
    made = 0
    for each in slices:
        first, end = each.sources[0].layers or (0, 0)
        for offset in range(end - first):
            yield from _layer(each, offset, made, end - first, recipe, models)
            made += 1
    yield from _outside(slices[-1], recipe, models, at_end=True)


def _check_heads(slices: Sequence[Slice], models: Models) -> None:
    """The result has the first slice's embedding and the last one's head."""
    first, last = (
        next((one.model for one in each.sources if HEAD in models[one.model].entries), "")
        for each in (slices[0], slices[-1])
    )
    if first and not last:
        raise Refused(
            f"{first} has an output head of its own, and {slices[-1].sources[0].model}, whose "
            "layers are the last, shares it with its embedding: the result would have none."
        )


def _outside(each: Slice, recipe: Recipe, models: Models, *, at_end: bool) -> Iterator[Piece]:
    """The tensors that are in no layer: those before all layers, or those after them."""
    stored = [models[source.model] for source in each.sources]
    names = dict.fromkeys(name for one in stored for name in one.entries if not LAYER.match(name))
    for name in names:
        if bool(AT_THE_END.search(name)) is at_end:
            yield _piece(name, [name] * len(stored), each, models, recipe)


def _layer(
    each: Slice, offset: int, made: int, count: int, recipe: Recipe, models: Models
) -> Iterator[Piece]:
    """One layer of the result. All its sources have the same tensors in theirs."""
    found = [_of_layer(models[one.model], _first(one) + offset) for one in each.sources]
    for source, parts in zip(each.sources, found, strict=True):
        if extra := sorted(map("N".join, set(parts) ^ set(found[0]))):
            first = each.sources[0].model
            raise Refused(f"{source.model} and {first} differ in their layers: {_named(extra)}.")
    for prefix, rest in found[0]:
        names = [f"{prefix}{_first(source) + offset}{rest}" for source in each.sources]
        name, depth = f"{prefix}{made}{rest}", _depth(offset, count)
        yield _piece(name, names, each, models, recipe, depth)


def _of_layer(stored: Stored, number: int) -> list[tuple[str, str]]:
    """What stands before and behind the number in the names of a layer's tensors."""
    matches = [match for name in stored.entries if (match := LAYER.match(name))]
    if len(towers := {match[1] for match in matches}) > 1:
        raise Refused(
            f"{stored.folder} has layers in {', '.join(sorted(towers))}: such a model is merged "
            "whole, not by slices."
        )
    return [(match[1], match[3]) for match in matches if int(match[2]) == number]


def _first(source: Source) -> int:
    return source.layers[0] if source.layers else 0


def _depth(index: int, count: int) -> float:
    return index / (count - 1) if count > 1 else 1.0


def _piece(
    name: str, names: list[str], of: Slice, models: Models, recipe: Recipe, depth: float = 0.0
) -> Piece:
    inputs = tuple(
        _entry(models[source.model], each) for source, each in zip(of.sources, names, strict=True)
    )
    dtype = inputs[0].dtype
    for entry in inputs[1:]:
        dtype = torch.promote_types(dtype, entry.dtype)
    if dtype.is_floating_point and recipe.dtype:
        dtype = getattr(torch, recipe.dtype)
    return Piece(name, dtype, inputs, of, depth)


def _entry(stored: Stored, name: str) -> Entry:
    if name in stored.entries:
        return stored.entries[name]
    if name == HEAD:  # tied: the head is the embedding
        found = [entry for key, entry in stored.entries.items() if key.endswith(EMBEDDING)]
        if len(found) == 1:
            return found[0]
    raise Refused(f"{stored.folder} has no tensor {name}, which the others have.")


def _check_shapes(piece: Piece, models: Models) -> None:
    for entry, source in zip(piece.inputs, piece.of.sources, strict=True):
        if entry.shape == piece.shape:
            continue
        one, other = list(piece.shape), list(entry.shape)
        is_words = piece.name.endswith((HEAD, EMBEDDING)) and one[1:] == other[1:]
        why = " The vocabularies differ." if is_words else ""
        first = piece.of.sources[0].model
        raise Refused(f"{piece.name} is {one} in {first} and {other} in {source.model}.{why}")


def _named(names: list[str]) -> str:
    more = f" and {len(names) - 1} more" if names[1:] else ""
    return f"{names[0]}{more}"
