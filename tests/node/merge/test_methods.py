"""Every method against mergekit 0.1.5 and against itself in double precision."""

import itertools
from typing import Any

import pytest
import torch
from merge_cases import CASES, SHAPES, inputs_of, ours
from mergekit.merge_methods.api import merge_tensors
from trainyard_node.merge.methods import METHODS

CLOSE = 1e-6


def test_each_method_is_tried() -> None:
    assert {name for name, *_ in CASES} == set(METHODS)


@pytest.mark.parametrize(("name", "base", "count", "given"), CASES)
def test_float32_is_that_of_mergekit_and_of_float64(
    name: str, base: int | None, count: int, given: dict[str, Any]
) -> None:
    for shape, seed in itertools.product(SHAPES, range(5)):
        tensors = inputs_of(shape, count, base, seed)
        exact = ours(name, [each.double() for each in tensors], base, given)
        made = ours(name, tensors, base, given)
        assert (made - exact).abs().max() <= CLOSE, (shape, seed)
        theirs = merge_tensors(tensors, name, parameters=given, base_index=base)
        # Where rows almost cancel, mergekit itself is further from the exact result than that.
        off = (theirs - exact).abs().max()
        assert (made - theirs).abs().max() <= CLOSE + (off if off > CLOSE else 0), (shape, seed)


@pytest.mark.parametrize(("name", "base", "count", "given"), CASES)
def test_chunks_do_not_change_the_result(
    name: str, base: int | None, count: int, given: dict[str, Any]
) -> None:
    tensors = inputs_of((33, 7), count, base, seed=3)
    whole = ours(name, tensors, base, given, rows=33)
    for rows in (1, 4, 32):
        assert (ours(name, tensors, base, given, rows=rows) - whole).abs().max() <= CLOSE


@pytest.mark.parametrize(("name", "base", "count", "given"), CASES)
def test_bfloat16_is_rounded_once(
    name: str, base: int | None, count: int, given: dict[str, Any]
) -> None:
    """Within half a unit in the last place of the exact result; a tie may go either way."""
    tensors = [each.bfloat16() for each in inputs_of((16, 24), count, base, seed=1)]
    exact = ours(name, [each.double() for each in tensors], base, given)
    made = ours(name, [each.float() for each in tensors], base, given).bfloat16().double()
    unit = torch.exp2(exact.abs().clamp(min=1e-30).log2().floor() - 7)
    assert ((made - exact).abs() <= unit * (0.5 + 1e-3)).all()
    theirs = merge_tensors(tensors, name, parameters=given, base_index=base).double()
    assert (made - exact).abs().mean() <= (theirs - exact).abs().mean() + 1e-9


@pytest.mark.parametrize("name", ["dare_linear", "dare_ties"])
@pytest.mark.parametrize("density", [0.1, 0.5, 0.9])
def test_chance_keeps_its_share_and_the_sum(name: str, density: float) -> None:
    base = torch.zeros(400, 500)
    other = torch.rand(400, 500) + 0.5
    made = ours(name, [base, other], 0, {"weight": [1.0], "density": density}, rows=100)
    count = base.numel()
    sigma = (density * (1 - density) / count) ** 0.5
    assert abs((made != 0).float().mean().item() - density) <= 3 * sigma
    assert made.sum().item() == pytest.approx(other.sum().item(), rel=1e-5)


def test_ranked_chance_keeps_the_large_ones_more_often() -> None:
    other = torch.arange(1.0, 501.0).repeat(400, 1)
    given = {"weight": [1.0], "density": 0.5, "epsilon": 0.3, "rescale": False}
    kept = (ours("della_linear", [torch.zeros(400, 500), other], 0, given) != 0).float()
    assert kept.mean().item() == pytest.approx(0.5, abs=3 * (0.25 / kept.numel()) ** 0.5)
    assert kept[:, :50].mean().item() == pytest.approx(0.2 + 0.6 * 24.5 / 499, abs=0.01)
    assert kept[:, 450:].mean().item() == pytest.approx(0.2 + 0.6 * 474.5 / 499, abs=0.01)


@pytest.mark.parametrize("name", ["dare_linear", "dare_ties", "della", "della_linear"])
def test_the_same_seed_gives_the_same_bytes_in_any_chunks(name: str) -> None:
    tensors = inputs_of((300, 400), 3, 0, seed=5)
    given = {"weight": [0.5, 0.5], "density": 0.5, "rescale": False}
    first = ours(name, tensors, 0, given, rows=300)
    assert torch.equal(first, ours(name, tensors, 0, given, rows=7))
    assert not torch.equal(first, ours(name, tensors, 0, given, rows=7, seed=1))


def test_models_that_settle_in_different_looks_end_and_are_right() -> None:
    """The sample is the first two rows, whose scale misleads for one model alone."""
    torch.manual_seed(0)
    base = torch.zeros(400, 50)
    fair, unlike = torch.randn(400, 50), torch.randn(400, 50)
    unlike[:2] *= 1e-3
    for density in (0.015, 0.5):
        given = {"weight": [1.0, 1.0], "density": density, "rescale": True, "normalize": False}
        made = ours("ties", [base, fair, unlike], 0, given, rows=20)
        whole = ours("ties", [base, fair, unlike], 0, given, rows=400)
        theirs = merge_tensors([base, fair, unlike], "ties", parameters=given, base_index=0)
        assert torch.equal(made, whole)
        assert (made - theirs).abs().max() <= 1e-4 * theirs.abs().max()
