"""Kernel times that were measured: the extract in ``measured/`` (see its NOTICE for the source).

Between the measured sizes times are interpolated in logarithms, beyond the largest they grow as the
work does, below the smallest they stay. All answers are in seconds.
"""

import gzip
import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from math import exp, log
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("measured")
MICRO = 1e-6


@dataclass(frozen=True, eq=False)
class Axis:
    """Sizes that were measured, in order, and their logarithms."""

    sizes: tuple[int, ...]
    logs: tuple[float, ...]

    def at(self, size: float) -> tuple[int, float, float]:
        """The place of the size below, how far from it to the next (0 to 1), and by which factor
        ``size`` is beyond the largest."""
        if size >= self.sizes[-1]:
            return len(self.sizes) - 1, 0.0, size / self.sizes[-1]
        place = bisect_right(self.sizes, size) - 1
        if place < 0:
            return 0, 0.0, 1.0
        below = self.logs[place]
        return place, (log(size) - below) / (self.logs[place + 1] - below), 1.0


@lru_cache(maxsize=1024)
def axis(sizes: tuple[int, ...]) -> Axis:
    """Tables share most of theirs."""
    return Axis(sizes, tuple(log(size) for size in sizes))


@dataclass(frozen=True, eq=False)
class Grid:
    """Times over some axes, the last of which varies fastest. ``powers`` say how a time grows
    beyond the largest size of each axis."""

    axes: tuple[Axis, ...]
    powers: tuple[int, ...]
    cells: tuple[int, ...]

    def seconds(self, *sizes: float) -> float:
        beyond = 1.0
        corners = [(0, 1.0)]
        for one, power, size in zip(self.axes, self.powers, sizes, strict=True):
            place, part, past = one.at(size)
            beyond *= past**power
            width = len(one.sizes)
            spread = [(at * width + place, weight * (1 - part)) for at, weight in corners]
            if part:
                spread += [(at * width + place + 1, weight * part) for at, weight in corners]
            corners = spread
        level = sum(self.cells[at] * weight for at, weight in corners)
        return beyond * exp(level / 1000) * MICRO


Heads = tuple[int, int, int]
"""The size of a head, heads of queries, heads of keys and values."""


@dataclass(frozen=True, eq=False)
class Tables:
    """The tables of one card. ``collectives`` are by operation and number of cards."""

    source: str
    products: Mapping[str, Grid]
    prefill: Mapping[Heads, Grid]
    decode: Mapping[Heads, Grid]
    experts: Mapping[tuple[int, int, int, int, int], Grid]
    collectives: Mapping[tuple[str, int], Grid]


@cache
def measured(slug: str) -> Tables | None:
    """The tables of a card of the catalogue; None where it has none."""
    path = FOLDER / f"{slug}.json.gz"
    if not path.exists():
        return None
    told = json.loads(gzip.decompress(path.read_bytes()))
    return Tables(
        source=told["source"],
        products={
            name: _grid(one, ("m", "n", "k"), (1, 1, 1))
            for name, one in told["products"].items()
            if one
        },
        prefill=_attention(told["prefill"], 2),
        decode=_attention(told["decode"], 1),
        experts={
            _whole(name, 5): _grid(one, ("at",), (1,)) for name, one in told["experts"].items()
        },
        collectives={
            (name.split("/")[0], int(name.split("/")[1])): _grid(one, ("at",), (1,))
            for name, one in told["collectives"].items()
        },
    )


def _grid(told: Mapping[str, Any], axes: Sequence[str], powers: tuple[int, ...]) -> Grid:
    return Grid(tuple(axis(tuple(told[name])) for name in axes), powers, tuple(told["cells"]))


def _attention(told: Mapping[str, Any], power: int) -> dict[Heads, Grid]:
    return {
        _whole(name, 3): _grid(one, ("batch", "length"), (1, power)) for name, one in told.items()
    }


def _whole(name: str, count: int) -> Any:
    parts = tuple(int(part) for part in name.split("/"))
    if len(parts) != count:
        raise ValueError(f"{name} in the measured tables has not {count} sizes.")
    return parts


def nearest(known: Mapping[Heads, Grid], head_dim: int, heads: int, kv_heads: int) -> Heads:
    """The measured heads that are most like the asked ones."""
    asked = (log(head_dim), log(heads), log(kv_heads))

    def far(one: Heads) -> float:
        differences = [abs(log(size) - told) for size, told in zip(one, asked, strict=True)]
        return 10 * differences[0] + differences[1] + differences[2]

    return min(known, key=far)
