"""The phases of a start, told by a trainer that is a stand-in: real ones are in test_verl.py."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from trainyard_node.hooks import startup
from trainyard_node.record import RUN_DIR


def told(root: Path) -> list[str]:
    lines = (root / "events.jsonl").read_text().splitlines()
    return [json.loads(line)["phase"] for line in lines]


class FakeGroup:
    def spawn(self) -> None: ...

    def init_model(self) -> None: ...


class FakeRewards:
    def __init__(self) -> None: ...


class FakeTrainer:
    """Calls what verl's trainer calls, of the classes that a test gives it."""

    RayWorkerGroup: Any = None
    RewardLoopManager: Any = None
    LLMServerManager: Any = None

    def init(self) -> None:
        self._setup()
        self.on_init_end()

    def _setup(self) -> None:
        self.RayWorkerGroup().spawn()
        self.RayWorkerGroup().spawn()
        self.RayWorkerGroup().init_model()
        self.RewardLoopManager()
        _ = self.LLMServerManager

    def on_init_end(self) -> None: ...

    def _validate(self) -> int:
        return 7

    def _balance_batch(
        self, batch: Any, metrics: Any, logging_prefix: str = "", keep_minibatch: bool = False
    ) -> Any:
        return batch

    def _update_actor(self, batch: Any) -> Any:
        return batch


def fake_module() -> Any:
    """With classes of its own, since the hooks change them."""
    classes = {
        "RayWorkerGroup": type("FakeGroup", (FakeGroup,), {}),
        "RewardLoopManager": type("FakeRewards", (FakeRewards,), {}),
        "LLMServerManager": object,
    }
    return SimpleNamespace(PPOTrainer=type("FakeTrainer", (FakeTrainer,), classes), **classes)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(RUN_DIR, str(tmp_path))
    return tmp_path


def test_each_phase_is_told_once_in_its_order_and_none_after_the_first_update(root: Path) -> None:
    module = fake_module()
    assert startup.attach(module)
    trainer = module.PPOTrainer()
    trainer.init()
    assert trainer._validate() == 7
    for _ in range(2):
        assert trainer._update_actor(trainer._balance_batch("rows", {})) == "rows"
    trainer._validate()

    assert told(root) == ["ray", "workers", "model", "rollout", "validation", "answers", "update"]


def test_a_trainer_without_these_methods_is_left_as_it_is(root: Path) -> None:
    module = fake_module()
    module.PPOTrainer.init = lambda self: None

    assert not startup.attach(module)
    assert not (root / "events.jsonl").exists()


def test_only_the_first_rank_tells_and_none_outside_of_a_run(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    startup.Startup.of_first_rank().done("model")
    monkeypatch.setenv("RANK", "0")
    startup.Startup.of_first_rank().done("update")
    monkeypatch.delenv(RUN_DIR)
    startup.Startup.of_this_run().done("model")

    assert told(root) == ["update"]
