"""How near each method is to mergekit 0.1.5, and both to the same method in double precision.

Each case of ``tests/node/merge/merge_cases.py`` is tried with five seeds and four shapes: a vector,
a matrix of odd sizes, a scalar, and experts in one tensor. The reference is mergekit's result in
float64; of rounding in bfloat16 both are told in units in the last place of it. Of changes that
are equal, as many are in bfloat16, TIES and its kin keep the first ones and mergekit any: our units
are also told of our own result in float64, which keeps the same ones.
"""

import itertools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from tests.bench.engine.programs import ROOT

sys.path.insert(0, str(ROOT / "tests/node/merge"))
from merge_cases import CASES, inputs_of, ours
from mergekit.merge_methods.api import merge_tensors

SEEDS, SHAPES = range(5), [(37,), (33, 7), (), (5, 3, 4)]
BITS = 8  # of a number in bfloat16; the first is not stored
COLUMNS = {
    "apart": "fp32: ours - mergekit", "off": "fp32: ours - fp64", "theirs": "fp32: mergekit - fp64",
    "exact": "fp64: ours - mergekit",
    "units": "bf16: ours, most units", "mean": "bf16: ours, mean",
    "own units": "bf16: ours, most units off our fp64",
    "their units": "bf16: mergekit, most", "their mean": "bf16: mergekit, mean",
}  # fmt: skip


def equality() -> dict[str, float]:
    """By method and column, the largest over its cases; of the means, the mean."""
    found: dict[str, list[float]] = {}
    for name, base, count, given in CASES:
        for shape, seed in itertools.product(SHAPES, SEEDS):
            tensors = inputs_of(shape, count, base, seed)
            for column, value in _of_one(name, tensors, base, given):
                found.setdefault(f"{name}, {column}", []).append(value)
    return {
        key: sum(each) / len(each) if key.endswith("mean") else max(each)
        for key, each in found.items()
    }


def table(figures: Mapping[str, float]) -> str:
    """One line for each method."""
    names = list(dict.fromkeys(key.split(", ")[0] for key in figures))
    lines = [f"{nr}: {title}" for nr, title in enumerate(COLUMNS.values(), 1)]
    head = f"  {'':<18}" + "".join(f"{nr:>10}" for nr in range(1, len(COLUMNS) + 1))
    rows = [
        f"  {name:<18}" + "".join(f"{figures[f'{name}, {column}']:>10.2g}" for column in COLUMNS)
        for name in names
    ]
    return "\n".join(["equality", *(f"  {line}" for line in lines), head, *rows])


def _of_one(
    name: str, tensors: Sequence[Tensor], base: int | None, given: Mapping[str, Any]
) -> Iterator[tuple[str, float]]:
    def ask(kind: torch.dtype, work: torch.dtype, by: Callable[..., Tensor]) -> Tensor:
        """The result for inputs of a type, which are worked on in another."""
        return by([each.to(kind).to(work) for each in tensors]).double()

    def us(given_tensors: Sequence[Tensor]) -> Tensor:
        return ours(name, given_tensors, base, given)

    def them(given_tensors: Sequence[Tensor]) -> Tensor:
        return merge_tensors(list(given_tensors), name, parameters=dict(given), base_index=base)

    single, double, half = torch.float32, torch.float64, torch.bfloat16
    exact, own, their = (
        ask(single, double, them), ask(single, single, us), ask(single, single, them),
    )  # fmt: skip
    yield "apart", _most(own - their)
    yield "off", _most(own - exact)
    yield "theirs", _most(their - exact)
    yield "exact", _most(ask(single, double, us) - exact)
    exact = ask(half, double, them)
    for prefix, found in (
        ("", ask(half, single, us).bfloat16().double()), ("their ", ask(half, half, them)),
    ):  # fmt: skip
        units = (found - exact).abs() / _unit(exact)
        yield f"{prefix}units", _most(units)
        yield f"{prefix}mean", float(units.mean())
    own_exact = ask(half, double, us)
    rounded = ask(half, single, us).bfloat16().double()
    yield "own units", _most((rounded - own_exact).abs() / _unit(own_exact))


def _most(tensor: Tensor) -> float:
    return float(tensor.abs().max())


def _unit(exact: Tensor) -> Tensor:
    """One unit in the last place of bfloat16, at each number."""
    return torch.exp2(exact.abs().clamp(min=1e-30).log2().floor() - (BITS - 1))
