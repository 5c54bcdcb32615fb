"""What two steps of a trainer left is looked at."""

from pathlib import Path
from typing import Any

import pytest
from trainyard_node.rehearse import legs
from trainyard_node.rehearse.plan import Fault, Plan

GOOD = '{"step":1,"data":{"train/loss":6.5}}\n{"step":2,"data":{"train/loss":6.1}}\n'


def looked_at(root: Path, metrics: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the part says of a trainer that ended with 0 and logged this."""
    monkeypatch.setattr(legs, "run", lambda *_: (root / "metrics.jsonl").write_text(metrics))
    return legs.check_training(plan_of(root))


def plan_of(root: Path, target: str = "sft", **more: Any) -> Plan:
    argv = ("/venv/bin/python", "-m", "trainer", "a=1")
    return Plan(str(root), target, "", argv, ("b=2",), {}, {}, 2, 6, 4, 2, 64, "error", **more)


def test_all_steps_with_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert looked_at(tmp_path, GOOD, monkeypatch) == "2 steps ran to their end."


@pytest.mark.parametrize("value", ["null", "NaN", "Infinity"])
def test_a_loss_that_is_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    with pytest.raises(Fault, match="train/loss is no number"):
        looked_at(tmp_path, GOOD.replace("6.1", value), monkeypatch)


def test_a_step_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Fault, match="did not log step 2"):
        looked_at(tmp_path, GOOD.splitlines()[0], monkeypatch)


def test_a_run_that_resumes_may_validate_before_it_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged = '{"step":2,"data":{"val-core/acc/mean@1":0.5}}\n{"step":3,"data":{"actor/loss":1.0}}\n'
    monkeypatch.setattr(legs, "run", lambda *_: (tmp_path / "resumed.jsonl").write_text(logged))
    assert legs.check_resume(plan_of(tmp_path)) == "It went on from the checkpoint with step 3."


@pytest.mark.parametrize(
    ("target", "more"),
    [("sft", []), ("rl", ['++ray_kwargs.ray_init.runtime_env.py_executable="/forks/python"'])],
)
def test_both_runs_have_forks_for_all_their_pythons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, more: list[str]
) -> None:
    ran: list[Any] = []
    monkeypatch.setattr(legs, "run", lambda *asked: ran.append(asked))
    plan = plan_of(tmp_path, target, python="/forks/python")
    for check in (legs.check_training, legs.check_resume):
        with pytest.raises(Fault):
            check(plan)
    own = ["/forks/python", "-m", "trainer", "a=1"]
    assert [[*argv] for argv, *_ in ran] == [[*own, *more], [*own, "b=2", *more]]
    assert [env["PYTHON_EXEC"] for _, _, env, _ in ran] == ["/forks/python"] * 2


def test_without_forks_the_command_is_the_plain_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[Any] = []
    monkeypatch.setattr(legs, "run", lambda *asked: ran.append(asked))
    with pytest.raises(Fault):
        legs.check_resume(plan_of(tmp_path, "rl"))
    (argv, _, env, _), *_ = ran
    assert [*argv] == ["/venv/bin/python", "-m", "trainer", "a=1", "b=2"]
    assert env == {"VERL_FILE_LOGGER_PATH": f"{tmp_path}/resumed.jsonl"}
