"""The k largest of a stream are those that sorting finds, ties by their order."""

import pytest
import torch
from torch import Tensor
from trainyard_node.merge.rules import largest
from trainyard_node.merge.rules.largest import Largest


def kept(values: Tensor, k: int, sampled: Tensor, chunk: int) -> tuple[Tensor, Largest, int]:
    found, looks = Largest(k, len(values), sums=True), 0
    found.sample(sampled)
    while True:
        looks += 1
        for part in values.split(chunk):
            found.look(part)
        if found.settle():
            return torch.cat([found.kept(part) for part in values.split(chunk)]), found, looks


def by_sorting(values: Tensor, k: int) -> Tensor:
    order = values.argsort(descending=True, stable=True)[: max(0, k)]
    return torch.zeros(len(values), dtype=torch.bool).index_fill_(0, order, True)


KINDS = {
    "normal": lambda n: torch.randn(n).abs(),
    "few values": lambda n: torch.randint(0, 5, (n,)).float(),
    "mostly zero": lambda n: torch.randn(n).abs() * (torch.rand(n) < 0.2),
    "all alike": lambda n: torch.full((n,), 2.5),
    "bfloat16": lambda n: torch.randn(n).bfloat16().float().abs(),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chunk", [1000, 137])
def test_as_by_sorting(kind: str, chunk: int) -> None:
    for seed, k in enumerate((0, 1, 2, 499, 500, 900, 999, 1000)):
        torch.manual_seed(seed)
        values = KINDS[kind](1000)
        found, those, _ = kept(values, k, values[::7], chunk)
        assert torch.equal(found, by_sorting(values, k)), k
        if k:
            expected = values.sort(descending=True).values[:k]
            assert those.least == expected[-1]
            assert those.kept_sum == pytest.approx(expected.double().sum().item())


def test_a_sample_that_misleads_costs_more_looks_and_no_error() -> None:
    values = torch.arange(10_000.0)
    for sampled in (values[:50], values[-50:], torch.zeros(50), torch.full((50,), 1e9)):
        found, _, looks = kept(values, 5_000, sampled, 1000)
        assert torch.equal(found, values >= 5_000)
        assert looks > 1


def test_one_look_is_enough_with_a_fair_sample() -> None:
    torch.manual_seed(0)
    values = torch.randn(100_000).abs()
    assert kept(values, 30_000, values[::10], 10_000)[2] == 1


def test_zeros_of_both_signs_are_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Arcee's importance is, of a model of which half is unchanged."""
    monkeypatch.setattr(largest, "most_near", lambda total, beside=1: 20)
    for seed in range(6):
        torch.manual_seed(seed)
        values = torch.randn(2000) * (torch.rand(2000) < 0.5)
        values[::3] *= -1e-6
        for k in (200, 900, 1300, 1900):
            found, _, _ = kept(values, k, values[::7], 137)
            assert torch.equal(found, by_sorting(values, k)), (seed, k)
