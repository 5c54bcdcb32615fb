"""Two models tensor by tensor: what training changed, and where."""

import concurrent.futures as futures
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from trainyard_node.comparing.figures import Sums, sums_of, total
from trainyard_node.comparing.places import place_of
from trainyard_node.export.refused import Refused
from trainyard_node.merge.inputs import CHUNK, is_finite
from trainyard_node.merge.layout import EMBEDDING, HEAD
from trainyard_node.merge.shape import rows_and_width
from trainyard_node.merge.stored import Entry, Stored
from trainyard_node.merge.tied import is_tied

MOST_TENSORS = 200  # of which the figures are kept one by one
MOST_NAMES = 200  # of a list of names that cannot be compared


@dataclass(frozen=True)
class Pair:
    """A tensor that both models have. `rows` is how many of its rows both have."""

    name: str
    entries: tuple[Entry, Entry]
    rows: int
    note: str = ""


@dataclass
class Found:
    """What was found of one pair; `broken` are the models that hold NaN or infinite values."""

    pair: Pair
    sums: Sums = field(default_factory=Sums)
    broken: tuple[str, ...] = ()


def bytes_of(models: tuple[Stored, Stored]) -> int:
    """How much will be read."""
    return sum(entry.bytes for stored in models for entry in stored.entries.values())


def compare(models: tuple[Stored, Stored], told: Callable[[int], None]) -> dict[str, Any]:
    """The comparison, as it is written. `told` hears how many bytes more were read. Raises Refused
    as `pairs_of` does."""
    pairs, unlike = pairs_of(models)
    threads = max(1, len(os.sched_getaffinity(0)))
    pool = futures.ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
    try:
        found = []
        for each in pool.map(lambda pair: _compared(pair, models), pairs):
            found.append(each)
            told(sum(entry.bytes for entry in each.pair.entries))
    finally:
        pool.shutdown(cancel_futures=True)
    return _report(models, found, unlike)


def pairs_of(models: tuple[Stored, Stored]) -> tuple[list[Pair], list[dict[str, Any]]]:
    """What is compared, and the tensors whose shapes differ.

    Raises Refused where the models have no tensor in common.
    """
    one, other = models
    pairs, unlike = [], []
    for name in dict.fromkeys([*one.entries, *other.entries]):
        first, second = _entry(one, name), _entry(other, name)
        if first is None or second is None:
            continue
        rows = rows_and_width(first.shape)[0]
        note = "tied in one model: compared with its embeddings" if name == HEAD else ""
        note = note if name not in one.entries or name not in other.entries else ""
        if first.shape != second.shape:
            if not _differ_in_words(name, first, second):
                unlike.append({"name": name, "shapes": [list(first.shape), list(second.shape)]})
                continue
            rows = min(first.shape[0], second.shape[0])
            note = f"{first.shape[0]} and {second.shape[0]} rows: the first {rows} are compared"
        pairs.append(Pair(name, (first, second), rows, note))
    if not pairs:
        raise Refused(f"{one.root} and {other.root} have no tensor of one name and shape.")
    return pairs, unlike


def _differ_in_words(name: str, first: Entry, second: Entry) -> bool:
    is_words = name.endswith((HEAD, EMBEDDING))
    return is_words and len(first.shape) == 2 and first.shape[1:] == second.shape[1:]


def _entry(stored: Stored, name: str) -> Entry | None:
    if name in stored.entries or name != HEAD:
        return stored.entries.get(name)
    if not is_tied(stored.config):
        return None
    found = [entry for key, entry in stored.entries.items() if key.endswith(EMBEDDING)]
    return found[0] if len(found) == 1 else None


def _compared(pair: Pair, models: tuple[Stored, Stored]) -> Found:
    found = Found(pair)
    broken = [False, False]
    for first, end in _ranges(pair):
        parts = [
            stored.rows(entry.name, first, end)
            for stored, entry in zip(models, pair.entries, strict=True)
        ]
        for index, part in enumerate(parts):
            broken[index] |= part.is_floating_point() and not is_finite(part)
        if not any(broken):
            found.sums.add(sums_of(parts[0], parts[1]))
    if any(broken):
        found.sums = Sums()
    found.broken = tuple(
        str(stored.root) for stored, is_broken in zip(models, broken, strict=True) if is_broken
    )
    return found


def _ranges(pair: Pair) -> Iterator[tuple[int, int]]:
    width = rows_and_width(pair.entries[0].shape)[1]
    step = max(1, CHUNK // max(1, width))
    for first in range(0, pair.rows, step):
        yield first, min(pair.rows, first + step)


def _report(
    models: tuple[Stored, Stored], found: list[Found], unlike: list[dict[str, Any]]
) -> dict[str, Any]:
    sound = [each for each in found if not each.broken]
    cells = _cells(sound)
    shown = sorted(sound, key=_how_changed, reverse=True)[:MOST_TENSORS]
    only = [
        sorted(
            name
            for name in one.entries
            if name not in other.entries and _entry(other, name) is None
        )
        for one, other in (models, models[::-1])
    ]
    return {
        "models": [str(stored.root) for stored in models],
        "layers": list(dict.fromkeys(cell["layer"] for cell in cells)),
        "modules": list(dict.fromkeys(cell["module"] for cell in cells)),
        "cells": cells,
        "tensors": [_tensor(each) for each in shown],
        "tensors_left_out": len(sound) - len(shown),
        "whole": {**total(each.sums for each in sound).figures(), "tensors": len(sound)},
        "only_in": [_bounded(names) for names in only],
        "shapes_differ": _bounded(unlike),
        "part_compared": _bounded(
            [{"name": each.pair.name, "note": each.pair.note} for each in found if each.pair.note]
        ),
        "not_finite": _bounded(
            [{"name": each.pair.name, "models": each.broken} for each in found if each.broken]
        ),
    }


def _cells(found: list[Found]) -> list[dict[str, Any]]:
    """By layer and module; the layers in their order, what is in no layer last."""
    groups: dict[tuple[int | None, str], list[Sums]] = {}
    for each in found:
        groups.setdefault(place_of(each.pair.name), []).append(each.sums)
    ordered = sorted(groups.items(), key=lambda item: (item[0][0] is None, item[0][0] or 0))
    return [
        {"layer": layer, "module": module, **total(sums).figures(), "tensors": len(sums)}
        for (layer, module), sums in ordered
    ]


def _how_changed(found: Found) -> tuple[float, float]:
    figures = found.sums.figures()
    relative = figures["relative"]
    return (float("inf") if relative is None else relative, figures["distance"])


def _tensor(found: Found) -> dict[str, Any]:
    layer, module = place_of(found.pair.name)
    said = {"name": found.pair.name, "layer": layer, "module": module, **found.sums.figures()}
    return {**said, "note": found.pair.note} if found.pair.note else said


def _bounded(listed: list[Any]) -> dict[str, Any]:
    return {"count": len(listed), "first": listed[:MOST_NAMES]}
