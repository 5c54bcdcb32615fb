"""Reward functions tried by the node's own trial, from the site's side."""

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from datasets.formats.rl_rows import rl_rows
from jobs.rewards import trial
from jobs.rewards.trial import (
    Case,
    Limits,
    Subject,
    TrialError,
    try_reward,
)
from platform_site.bounded.environment import passed_on
from tests import factories

ARGUMENTS = "data_source, solution_str, ground_truth, extra_info=None"
QUICK = Limits(call=2, load=5, total=10)


def function(home: Path, body: str, name: str = "reward.py") -> str:
    file = home / name
    file.write_text(f"def compute_score({ARGUMENTS}):\n    {body}\n")
    return str(file)


def case(answer: str, group: int = 0, truth: Any = "12") -> Case:
    return Case(group, "5+7=?", answer, truth, "x")


def test_scores_and_what_they_teach(home: Path) -> None:
    path = function(home, "return {'score': len(solution_str), 'acc': solution_str == 'aa'}")
    answers = [case("a"), case("aa"), case("b", 1), case("c", 1), case("d", 2)]
    trial = try_reward(Subject(path), answers, QUICK)
    assert [answer.score for answer in trial.scored] == [1, 2, 1, 1, 1]
    assert trial.scored[1].parts == {"acc": True}
    assert (trial.compared, trial.flat, trial.failed, trial.mean) == (2, 1, 0, 1.2)


def test_failed_answers_are_not_compared(home: Path) -> None:
    path = function(home, "return float(solution_str)")
    trial = try_reward(Subject(path), [case("1"), case("1"), case("x", 1), case("1", 1)], QUICK)
    assert (trial.compared, trial.flat, trial.failed) == (1, 1, 1)
    assert trial.scored[2].kind == "exception"
    assert "return float(solution_str)" in trial.scored[2].traceback


def test_a_hang_ends_with_the_limit(home: Path) -> None:
    path = function(home, "while True: pass")
    trial = try_reward(Subject(path), [case("1")], Limits(call=0.5, load=5, total=5))
    assert trial.scored[0].kind == "timeout"


def test_the_function_sees_nothing_of_the_site(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINYARD_SECRET_KEY", "abc")
    monkeypatch.setenv("DATABASE_URL", "postgres://me:secret@host/db")
    body = "import json, os; return {'score': 0, 'seen': json.dumps(dict(os.environ))}"
    path = function(home, body)
    trial = try_reward(Subject(path), [case("1")], QUICK)
    seen = json.loads(trial.scored[0].parts["seen"])
    # The last is set by the launcher of these tests, the one before by Python itself.
    assert set(seen) <= {*passed_on(), "PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE", "PYTHONPATH"}
    assert "secret" not in str(seen)


def test_a_missing_training_python_is_told(home: Path, settings: Settings) -> None:
    settings.TRAINYARD_TRAIN_PYTHON = Path("/nowhere/python")
    path = function(home, "return 1")
    with pytest.raises(TrialError, match="see TRAINYARD_TRAIN_PYTHON"):
        try_reward(Subject(path), [case("1")], QUICK)


def test_a_trial_without_an_answer_is_told(home: Path, settings: Settings) -> None:
    python = home / "python"
    python.write_text("#!/bin/sh\necho 'no module of that name' >&2\nexit 1\n")
    python.chmod(0o755)
    settings.TRAINYARD_TRAIN_PYTHON = python
    with pytest.raises(TrialError, match="no module of that name"):
        try_reward(Subject(function(home, "return 1")), [case("1")], QUICK)


def test_a_trial_that_does_not_end_is_ended(
    home: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = home / "python"
    python.write_text(f"#!/bin/sh\necho $$ > {home}/pid\nexec sleep 300\n")
    python.chmod(0o755)
    settings.TRAINYARD_TRAIN_PYTHON = python
    monkeypatch.setattr(trial, "MARGIN", 0.3)
    with pytest.raises(TrialError, match=r"did not end within 0\.4 s"):
        try_reward(Subject(function(home, "return 1")), [case("1")], Limits(total=0.1))
    with pytest.raises(ProcessLookupError):
        os.kill(int((home / "pid").read_text()), 0)


def test_only_so_many_at_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "AT_ONCE", threading.BoundedSemaphore(1))
    monkeypatch.setattr(trial, "MARGIN", 0.01)
    with trial.AT_ONCE, pytest.raises(TrialError, match="Other trials are running"):
        try_reward(Subject(function(home, "return 1")), [case("1")], QUICK)


def test_rl_rows(home: Path) -> None:
    factories.write_rl_rows(home / "rl.parquet", rows=5)
    assert [row["data_source"] for row in rl_rows(home / "rl.parquet", 3)] == [
        "trainyard/arithmetic"
    ] * 3
    factories.write_sft_rows(home / "sft.parquet", rows=5)
    with pytest.raises(ValueError, match="no column data_source"):
        rl_rows(home / "sft.parquet", 3)
    with pytest.raises(ValueError, match="There is no file"):
        rl_rows(home / "none.parquet", 3)
    (home / "junk.parquet").write_text("junk")
    with pytest.raises(ValueError, match="cannot be read"):
        rl_rows(home / "junk.parquet", 3)
