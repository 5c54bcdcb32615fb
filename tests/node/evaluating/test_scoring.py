"""A reward function that is asked answer by answer: what goes wrong in one spoils no other."""

import textwrap
from pathlib import Path
from typing import Any

import pytest
from trainyard_node.rewards.scoring import Scorer, Unloadable
from trainyard_node.rewards.trial import Limits

LIMITS = Limits(call=1.0, load=60.0, total=float("inf"), memory_mb=2048)
BODY = """
import os, time
def compute_score(data_source, solution_str, ground_truth, extra_info, scale=1):
    if solution_str == "raise":
        raise ValueError("it does not like it")
    if solution_str == "die":
        os._exit(3)
    if solution_str == "hang":
        time.sleep(60)
    if solution_str == "none":
        return None
    print("x" * 100_000)
    return {"score": scale * len(solution_str), "acc": solution_str == ground_truth}
"""


def row(answer: str) -> dict[str, Any]:
    return {"data_source": "x", "solution_str": answer, "ground_truth": "aa", "extra_info": None}


def reward(folder: Path, body: str) -> str:
    path = folder / "reward.py"
    path.write_text(textwrap.dedent(body))
    return str(path)


def test_what_fails_has_a_problem_and_what_follows_a_score(tmp_path: Path) -> None:
    answers = ["aa", "raise", "die", "b", "hang", "none", "c" * 200_000]
    with Scorer(reward(tmp_path, BODY), "compute_score", {"scale": 2}, LIMITS) as scorer:
        found = scorer.score([row(answer) for answer in answers[:3]])
        found += scorer.score([row(answer) for answer in answers[3:]])
    assert [each["score"] for each in found] == [4, None, None, 2, None, None, 400_000]
    assert found[0]["parts"] == {"acc": True}
    problems = [each["problem"]["message"] for each in found if each["score"] is None]
    assert problems[:3] == [
        "ValueError: it does not like it", "It ended the process: exit code 3.",
        "No answer within 1 s.",
    ]  # fmt: skip
    assert "None" in problems[3]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("import no_such_module", "ModuleNotFoundError"),
        ("def other(): ...", "There is no compute_score"),
        ("def compute_score(answer): ...", "It takes (answer), and verl calls it with"),
        ("import os; os._exit(1)", "It ended the process: exit code 1."),
    ],
)
def test_a_function_that_cannot_be_called_is_said_at_once(
    tmp_path: Path, body: str, why: str
) -> None:
    with pytest.raises(Unloadable) as error, Scorer(reward(tmp_path, body), "compute_score", {}):
        pass
    assert why in str(error.value)
