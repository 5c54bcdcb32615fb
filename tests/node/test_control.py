"""What is asked of a trainer, and how verl's trainers are made to look."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import Run, read_lines
from omegaconf import OmegaConf
from trainyard_node import control
from trainyard_node.control import Control
from trainyard_node.hooks import rl, shape


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    (tmp_path / "control").mkdir()
    control.say_once.cache_clear()
    return tmp_path / "control"


def test_nothing_is_asked_without_a_folder(tmp_path: Path) -> None:
    assert Control(tmp_path).look() is None
    (tmp_path / "control").write_text("a file where a folder should be")
    assert Control(tmp_path).look() is None


def test_a_pause_wins_over_a_save_and_answers_both(asked: Path) -> None:
    requests = Control(asked.parent)
    (asked / "save").touch()
    assert requests.look() == "save"
    (asked / "pause").touch()
    assert requests.look() == "pause"
    requests.saved("pause")
    assert list(asked.iterdir()) == []
    assert requests.look() is None


def test_a_save_leaves_a_pause_that_came_meanwhile(asked: Path) -> None:
    (asked / "save").touch()
    (asked / "pause").touch()
    Control(asked.parent).saved("save")
    assert [path.name for path in asked.iterdir()] == ["pause"]


def test_a_look_that_fails_is_no_request_and_is_said_once(
    asked: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "stat", fail)
    requests = Control(asked.parent)
    assert [requests.look(), requests.look()] == [None, None]
    assert capsys.readouterr().err == (
        "trainyard_node: cannot see whether a pause is asked for: [Errno 5] Input/output error\n"
        "trainyard_node: cannot see whether a save is asked for: [Errno 5] Input/output error\n"
    )


def test_a_request_that_cannot_be_removed_is_answered_once(
    asked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (asked / "save").touch()

    def fail(*args: Any, **kwargs: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", fail)
    requests = Control(asked.parent)
    assert requests.look() == "save"
    requests.saved("save")
    assert requests.look() is None


def test_a_pause_is_told(asked: Path) -> None:
    Control(asked.parent).paused(7)
    (event,) = read_lines(asked.parent / "events.jsonl")
    assert event == {
        "at": event["at"],
        "kind": "paused",
        "message": "paused after step 7; its checkpoint is saved",
        "step": 7,
    }


def test_a_run_knows_its_directory(make_run: Any) -> None:
    run: Run = make_run('printf %s "$TRAINYARD_RUN_DIR" > told')
    run.finish()
    assert (run.root / "told").read_text() == str(run.root)


class FakeTrainer:
    """Loops as verl's trainers do, without verl."""

    def __init__(self, steps: int, save_freq: int) -> None:
        self.config = OmegaConf.create({"trainer": {"save_freq": save_freq}})
        self.steps, self.global_steps, self.did = steps, 0, ""

    def fit(self, agent_loop_manager: Any) -> None:
        for step in range(1, self.steps + 1):
            self.global_steps = step
            self._start_profiling()
            self.step({}, {})
            every = self.config.trainer.save_freq
            if every > 0 and (step == self.steps or step % every == 0):
                self._save_checkpoint()
            self.did += " logged"
        self.did += " end"

    def _start_profiling(self) -> None:
        self.did += f" {self.global_steps}"

    def step(self, metrics: Any, timing_raw: Any) -> None: ...

    def _save_checkpoint(self) -> None:
        self.did += " saved"

    def _shutdown_dump_executor(self) -> None:
        self.did += " dumped"


def fake_run(
    directory: Path, monkeypatch: pytest.MonkeyPatch, asks: dict[int, str], save_freq: int
) -> str:
    """What a trainer does that is asked for `asks` during the steps that they name."""

    class Asked(FakeTrainer):
        def step(self, metrics: Any, timing_raw: Any) -> None:
            if self.global_steps in asks:
                (directory / "control" / asks[self.global_steps]).touch()

    monkeypatch.setenv("TRAINYARD_RUN_DIR", str(directory))
    assert rl.V1.attach(SimpleNamespace(PPOTrainer=Asked))  # type: ignore[arg-type]
    trainer = Asked(4, save_freq)
    trainer.fit(None)
    assert trainer.config.trainer.save_freq == save_freq
    return trainer.did.strip()


@pytest.mark.parametrize(
    ("asks", "save_freq", "expected"),
    [
        ({}, -1, "1 logged 2 logged 3 logged 4 logged end"),
        ({2: "save"}, -1, "1 logged 2 saved logged 3 logged 4 logged end"),
        ({1: "save"}, 2, "1 saved logged 2 saved logged 3 logged 4 saved logged end"),
        ({2: "save", 3: "save"}, 0, "1 logged 2 saved logged 3 saved logged 4 logged end"),
        ({2: "pause"}, -1, "1 logged 2 saved logged dumped"),
        ({2: "save", 3: "pause"}, 2, "1 logged 2 saved logged 3 saved logged dumped"),
        ({4: "pause"}, -1, "1 logged 2 logged 3 logged 4 saved logged end"),
    ],
)
def test_steps_are_saved_and_left_as_asked(
    asked: Path,
    monkeypatch: pytest.MonkeyPatch,
    asks: dict[int, str],
    save_freq: int,
    expected: str,
) -> None:
    assert fake_run(asked.parent, monkeypatch, asks, save_freq) == expected
    assert list(asked.iterdir()) == []
    is_told = (asked.parent / "events.jsonl").exists()
    assert is_told == expected.endswith("dumped")


def test_a_trainer_that_the_wrapper_did_not_start_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, asked: Path
) -> None:
    class Alone(FakeTrainer): ...

    monkeypatch.delenv("TRAINYARD_RUN_DIR", raising=False)
    rl.V1.attach(SimpleNamespace(PPOTrainer=Alone))  # type: ignore[arg-type]
    (asked / "pause").touch()
    trainer = Alone(2, -1)
    trainer.fit(None)
    assert trainer.did.strip() == "1 logged 2 logged end"


def step_of_another_verl(self: Any, batch: Any) -> None: ...


def fit_of_another_verl(self: Any, agent_loop_manager: Any) -> None:
    self.step(self.global_steps)


@pytest.mark.parametrize(
    ("name", "other", "said"),
    [
        ("step", step_of_another_verl, "step_of_another_verl takes ('self', 'batch')"),
        (
            "fit", fit_of_another_verl,
            "fit_of_another_verl does not use _start_profiling, _save_checkpoint, save_freq",
        ),
        ("_shutdown_dump_executor", None, "None is not a callable object"),
    ],
)  # fmt: skip
def test_another_verl_cannot_be_paused_and_says_so(
    name: str, other: Any, said: str, asked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Other(FakeTrainer): ...

    setattr(Other, name, other)
    before = dict(vars(Other))
    assert not rl.V1.attach(SimpleNamespace(PPOTrainer=Other))  # type: ignore[arg-type]
    assert vars(Other) == before
    assert capsys.readouterr().err == (
        f"trainyard_node: this verl cannot be paused, nor saved on request: {said}\n"
    )


def test_a_decorated_function_is_looked_through() -> None:
    import functools

    def real(self: Any, step: int) -> None:
        self.save(step)

    @functools.wraps(real)
    def outer(*args: Any) -> None: ...

    shape.check(outer, ("self", "step"), ("save",))
    with pytest.raises(shape.Different, match="does not use load"):
        shape.check(outer, ("self", "step"), ("load",))
