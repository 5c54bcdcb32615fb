"""What a run tells of what it was made with: the wrapper's parts, and a trainer's configuration."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import Run, read_lines
from omegaconf import OmegaConf
from trainyard_node import provenance
from trainyard_node.attempt import Attempt
from trainyard_node.gpus import Gpus
from trainyard_node.hooks import resolved
from trainyard_node.record import RUN_DIR

GIB = 1 << 30


def parts_of(root: Path) -> dict[str, Any]:
    return {line["part"]: line["data"] for line in read_lines(root / "provenance.jsonl")}


def test_the_shortest_run_tells_its_software_and_hardware(make_run: Any) -> None:
    run: Run = make_run("exit 0")
    run.finish()
    parts = parts_of(run.root)
    assert list(parts) == ["software", "hardware"]
    software = parts["software"]
    assert software["executable"] == sys.executable
    assert {"torch", "verl", "trainyard-node"} <= set(software["packages"])
    assert list(software["packages"]) == sorted(software["packages"], key=str.lower)
    assert "git_version" in software["torch"]
    assert software["node"] == {"version": "0.1.0", "digest": provenance.digest()}
    assert parts["hardware"]["cpu"] != ""
    assert isinstance(parts["hardware"]["gpus"], list)


def test_a_part_that_fails_keeps_the_others_not_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> dict[str, Any]:
        raise RuntimeError("no driver")

    monkeypatch.setattr(provenance, "PARTS", {"software": fail, "hardware": lambda: {"cpus": 1}})
    provenance.Teller(Attempt(tmp_path)).run()
    assert parts_of(tmp_path) == {"hardware": {"cpus": 1}}


class FakeError(Exception):
    pass


class FakeNvml:
    """Two cards, of which the second has fallen off the bus."""

    NVMLError = FakeError

    def nvmlSystemGetDriverVersion(self) -> bytes:
        return b"570.86.15"

    def nvmlSystemGetCudaDriverVersion(self) -> int:
        return 12080

    def nvmlDeviceGetCount(self) -> int:
        return 3

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        if index == 2:
            raise FakeError("GPU is lost")
        return index

    def nvmlDeviceGetUUID(self, handle: int) -> str:
        return f"GPU-{handle}"

    def nvmlDeviceGetName(self, handle: int) -> bytes:
        return b"NVIDIA H200"

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:
        if handle == 1:
            raise FakeError("not supported")
        return SimpleNamespace(total=140 * GIB)


def test_the_cards_and_their_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = Gpus()
    monkeypatch.setattr(gpus, "_load", FakeNvml)
    name = "NVIDIA H200"
    assert gpus.facts() == {
        "driver": "570.86.15",
        "cuda": "12.8",
        "gpus": [
            {"index": 0, "uuid": "GPU-0", "name": name, "memory": 140 * GIB},
            {"index": 1, "uuid": "GPU-1", "name": name, "memory": None},
            {"index": 2, "uuid": None, "name": None, "memory": None},
        ],
    }
    monkeypatch.setattr(gpus, "_load", lambda: None)
    assert gpus.facts() == {"gpus": []}


@pytest.fixture
def trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A stand-in for verl's trainer, and a subclass of it, within a run."""

    class FakeTrainer:
        def __init__(self, config: Any, more: int = 0) -> None:
            self.config, self.more = config, more

    class FakeHeir(FakeTrainer):
        def __init__(self, config: Any) -> None:
            super().__init__(config=config, more=3)

    monkeypatch.setenv(RUN_DIR, str(tmp_path))
    monkeypatch.delenv("RANK", raising=False)
    module: Any = SimpleNamespace(PPOTrainer=FakeTrainer)
    assert resolved.attach_to_v1(module)
    assert resolved.attach_to_v1(module)  # twice is once
    return FakeHeir


def test_a_trainer_tells_its_configuration_resolved_and_without_secrets(
    trainer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_API_KEY", "very-secret")
    monkeypatch.setenv("SHORT_TOKEN", "a")
    config = OmegaConf.create(
        {"a": 1, "b": "${a}", "c": ["${oc.env:MY_API_KEY}/x"], "d": None, "e": {"f": True}}
    )
    made = trainer(config)
    assert (made.config, made.more) == (config, 3)
    told = {"a": 1, "b": 1, "c": ["***/x"], "d": None, "e": {"f": True}}
    assert parts_of(tmp_path) == {"config": {"name": "ppo_trainer", "config": told}}
    assert len(read_lines(tmp_path / "provenance.jsonl")) == 1


def test_what_cannot_be_resolved_is_told_as_it_stands(trainer: Any, tmp_path: Path) -> None:
    trainer(OmegaConf.create({"a": "${nowhere.b}", "c": 2}))
    assert parts_of(tmp_path)["config"]["config"] == {"a": "${nowhere.b}", "c": 2}


def test_what_is_no_configuration_ends_no_run(trainer: Any, tmp_path: Path) -> None:
    assert trainer(7).config == 7
    assert not (tmp_path / "provenance.jsonl").exists()


def test_other_ranks_and_runs_of_nobody_tell_nothing(
    trainer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    trainer(OmegaConf.create({"a": 1}))
    monkeypatch.delenv("RANK")
    monkeypatch.delenv(RUN_DIR)
    trainer(OmegaConf.create({"a": 1}))
    assert not (tmp_path / "provenance.jsonl").exists()


def test_another_trainer_is_left_as_it_is() -> None:
    assert resolved.attach_to_former(SimpleNamespace()) is False  # type: ignore[arg-type]
