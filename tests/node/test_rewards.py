"""The rule reward."""

from typing import Any

import pytest
from trainyard_node.rewards.arithmetic import compute_score


@pytest.mark.parametrize(
    ("answer", "truth", "score"),
    [
        ("12", "12", 1.0),
        (" 12\n", 12, 1.0),
        ("-3", "-3", 1.0),
        ("012", "12", 1.0),
        ("13", "12", 0.1),
        ("about 12", "12", 0.0),
        ("", "12", 0.0),
        ("1e3", "1000", 0.0),
        ("9" * 5000, "12", 0.0),
        ("\x00\ud800", "12", 0.0),
        ("12", None, 0.1),
        ("nothing", "nothing", 0.0),
    ],
)
def test_score(answer: str, truth: Any, score: float) -> None:
    assert compute_score("trainyard/arithmetic", answer, truth, None, more=1) == score
