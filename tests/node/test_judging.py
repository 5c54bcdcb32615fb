"""A result is judged as verl's own tensor, file and averages judge it."""

import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from trainyard_node.rewards.judging import WrongReturn, judge

VALUES = {
    "whole number": 1,
    "bool": True,
    "float": 0.25,
    "largest": 3.4e38,
    "too large": 1e39,
    "far too large": 10**400,
    "np.float64": np.float64(0.5),
    "np.float32": np.float32(0.5),
    "np.float16": np.float16(0.5),
    "np.int64": np.int64(2),
    "np.uint8": np.uint8(2),
    "np.bool_": np.bool_(True),
    "0-d array": np.array(0.5),
    "1-d array": np.array([0.5]),
    "0-d tensor": torch.tensor(0.5),
    "1-d tensor": torch.tensor([0.5]),
    "bool tensor": torch.tensor(True),
    "long tensor": torch.tensor([0.5, 1.0]),
    "no number in it": torch.tensor([]),
    "text": "1.0",
    "list": [1.0],
    "None": None,
    "fraction": Fraction(1, 2),
    "decimal": Decimal("0.5"),
    "complex": 1j,
}


def verl_takes(value: Any) -> bool:
    """As verl's AgentLoopOutput.as_dict does it."""
    scores = torch.zeros_like(torch.ones(3, dtype=torch.int64), dtype=torch.float32)
    try:
        scores[-1] = value
    except (TypeError, ValueError, RuntimeError, IndexError, OverflowError):
        return False
    return True


def judged(result: Any) -> float | None:
    try:
        return judge(result)[0]
    except WrongReturn:
        return None


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("in_dict", [False, True], ids=["alone", "in a dict"])
def test_a_score_is_taken_where_a_tensor_takes_it(name: str, in_dict: bool) -> None:
    value = VALUES[name]
    found = judged({"score": value} if in_dict else value)
    assert (found is not None) == verl_takes(value)
    if found is not None:
        assert found == pytest.approx(float(value))


def test_a_tensor_with_a_gradient_cannot_be_averaged() -> None:
    with pytest.raises(WrongReturn, match="requires grad"):
        judge(torch.tensor(0.5, requires_grad=True))


def test_advice_names_the_type_and_the_way_out() -> None:
    with pytest.raises(
        WrongReturn, match=r"np\.float32\(0\.5\) \(float32\).*Write float\(\.\.\.\)"
    ):
        judge(np.float32(0.5))


PARTS = {
    "number": (1, True),
    "text": ("right", True),
    "nothing": (None, True),
    "np.float32": (np.float32(0.5), True),
    "np.bool_": (np.bool_(True), True),
    "list of numbers": ([1, 2, 3], True),
    "tensor": (torch.tensor([0.5]), True),
    "dict": ({"a": 1}, False),
    "list of texts": (["a"], False),
    "list of unequal lists": ([[1], [1, 2]], False),
    "set": ({1}, False),
    "bytes": (b"a", False),
    "fraction": (Fraction(1, 2), False),
    "complex": (1j, False),
    "object": (object(), False),
    "too many digits": (10**5000, False),
}


def validation_takes(value: Any) -> bool:
    """As verl's process_validation_metrics and _write_generations do it."""
    try:
        json.dumps({"part": value}, default=lambda other: other.tolist())
        if value is not None and not isinstance(value, str):
            float(np.mean([value]))
    except (TypeError, ValueError, AttributeError, OverflowError):
        return False
    return True


@pytest.mark.parametrize("name", PARTS)
def test_a_part_is_taken_where_validation_takes_it(name: str) -> None:
    value, right = PARTS[name]
    assert validation_takes(value) == right
    assert (judged({"score": 1.0, "part": value}) is not None) == right


def test_a_refused_part_is_named() -> None:
    with pytest.raises(WrongReturn, match=r"part 'cost' is \{'a': 1\} \(dict\); verl's validation"):
        judge({"score": 1.0, "cost": {"a": 1}})
