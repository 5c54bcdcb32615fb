"""The trial of a reward function before a run with it is submitted."""

import threading
from pathlib import Path

import pytest
from pytest_django import Settings

from jobs.places import places
from jobs.rewards import before_submit, trial
from jobs.rewards.before_submit import check_function
from jobs.rewards.trial import Limits
from tests.jobs.rewards.test_trial import function

RL_ROW = {
    "data_source": "x",
    "prompt": [{"role": "user", "content": "5+7=?"}],
    "reward_model": {"style": "rule", "ground_truth": "12"},
    "extra_info": {"index": 0},
}


def test_check_finds_nothing_in_a_good_function() -> None:
    path = f"{places()['rewards']}/arithmetic.py"
    assert check_function(path, "compute_score", [RL_ROW]) == []


@pytest.mark.parametrize(
    ("code", "name", "problem"),
    [
        (
            "def compute_score(**k): return None",
            "compute_score",
            "4 of 4 tries. It is None",
        ),
        ("def compute_score(a, b): return 1", "compute_score", "cannot be called. It takes (a, b)"),
        ("def f(**k): return 1", "compute_score", "There is no compute_score in"),
        ("import nothing_like_it", "compute_score", "cannot be loaded. ModuleNotFoundError"),
        ("import os; os._exit(1)", "f", "cannot be loaded. It ended the process: exit code 1."),
    ],
)
def test_check_tells_what_would_fail(home: Path, code: str, name: str, problem: str) -> None:
    file = home / "reward.py"
    file.write_text(code + "\n")
    found = check_function(str(file), name, [RL_ROW])
    assert len(found) == 1
    assert problem in found[0]


def test_check_tries_the_same_file_once(home: Path) -> None:
    count = home / "count"
    path = function(home, f"open({str(count)!r}, 'a').write('x'); return 1")
    for _ in range(3):
        assert check_function(path, "compute_score", [RL_ROW]) == []
    assert count.read_text() == "xxxx"  # four answers, one trial
    Path(path).write_text(Path(path).read_text() + "\n# changed\n")
    check_function(path, "compute_score", [RL_ROW])
    assert count.read_text() == "x" * 8


def test_check_reads_no_file_outside(tmp_path: Path, home: Path) -> None:
    outside = function(tmp_path, "return 1")
    (home / "link.py").symlink_to(outside)
    for path in (outside, str(home / "link.py")):
        assert "outside the allowed folders" in check_function(path, "compute_score", [])[0]
    assert "not a whole path" in check_function("reward.py", "compute_score", [])[0]
    assert "There is no file" in check_function(f"{home}/none.py", "compute_score", [])[0]


def test_an_answer_that_is_neither_true_nor_empty_is_tried(home: Path) -> None:
    body = "assert solution_str in ('', ground_truth); return 1.0"
    found = check_function(function(home, body), "compute_score", [RL_ROW])
    assert found == ["The reward function failed on 2 of 4 tries. AssertionError"]


def test_a_part_that_validation_cannot_average_is_told(home: Path) -> None:
    path = function(home, "return {'score': 1.0, 'cost': {'a': 1}}")
    (found,) = check_function(path, "compute_score", [RL_ROW])
    assert "failed on 4 of 4 tries. Its part 'cost' is {'a': 1} (dict)" in found


def test_a_trial_that_cannot_run_is_no_pass(home: Path, settings: Settings) -> None:
    settings.TRAINYARD_TRAIN_PYTHON = Path("/nowhere/python")
    (found,) = check_function(function(home, "return 1"), "compute_score", [RL_ROW])
    assert found.startswith("The reward function could not be tried. The training Python /nowhere")


def test_a_full_house_is_no_pass_and_the_next_trial_runs(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = function(home, "return 1")
    monkeypatch.setattr(trial, "AT_ONCE", threading.BoundedSemaphore(1))
    monkeypatch.setattr(trial, "MARGIN", 0.01)
    with trial.AT_ONCE:
        (found,) = check_function(path, "compute_score", [RL_ROW])
    assert "Other trials are running" in found
    monkeypatch.setattr(trial, "MARGIN", 20.0)
    assert check_function(path, "compute_score", [RL_ROW]) == []


@pytest.mark.parametrize(
    ("head", "limits", "problem"),
    [
        (
            "",
            Limits(call=0.5, load=10, total=20),
            "failed on 1 of 4 tries. No answer within 0.5 s.",
        ),
        ("", Limits(call=20, load=10, total=3), "failed on 2 of 4 tries. Not called: "),
        ("while True: pass", Limits(load=0.5, total=20), "cannot be loaded. No answer within"),
    ],
)
def test_what_took_too_long_is_no_pass_and_is_tried_again(
    home: Path, monkeypatch: pytest.MonkeyPatch, head: str, limits: Limits, problem: str
) -> None:
    monkeypatch.setattr(before_submit, "LIMITS", limits)
    path = function(home, "import time; time.sleep(0 if solution_str else 60); return 1")
    Path(path).write_text(head + "\n" + Path(path).read_text())
    kept = before_submit._checked.cache_info().currsize
    (found,) = check_function(path, "compute_score", [RL_ROW])
    assert found.startswith("The reward function could not be tried. ")
    assert problem in found
    assert before_submit._checked.cache_info().currsize == kept


def test_arguments_of_the_overrides_reach_the_function(home: Path) -> None:
    file = home / "reward.py"
    file.write_text(
        "def f(data_source, solution_str, ground_truth, extra_info, strict): return 1\n"
    )
    assert check_function(str(file), "f", [RL_ROW], {"strict": True}) == []
    assert "cannot be called" in check_function(str(file), "f", [RL_ROW])[0]
