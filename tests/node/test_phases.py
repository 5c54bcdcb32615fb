"""The hook that measures phases, on stand-ins for verl's classes and for a GPU."""

import asyncio
import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from trainyard_node.hooks import card, phases
from trainyard_node.hooks.phases import Record
from trainyard_node.rollout.parameters import Limits, build_request

GIB = 1 << 30


class FakeCuda:
    """A GPU of 80 GiB, of which others have 5 and this process's allocator held 30 at most."""

    def __init__(self) -> None:
        self.resets = 0

    def reset_peak_memory_stats(self) -> None:
        self.resets += 1

    def mem_get_info(self) -> tuple[int, int]:
        return 55 * GIB, 80 * GIB

    def memory_reserved(self) -> int:
        return 20 * GIB

    def max_memory_reserved(self) -> int:
        return 30 * GIB

    def max_memory_allocated(self) -> int:
        return 25 * GIB

    def current_device(self) -> int:
        return 0

    def get_device_properties(self, device: int) -> Any:
        return SimpleNamespace(uuid="12ab-34")


@pytest.fixture
def fake_cuda(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    made = FakeCuda()
    monkeypatch.setattr(card, "_cuda", lambda: made)
    return made


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRAINYARD_RUN_DIR", str(tmp_path))
    path = tmp_path / phases.FILE
    path.touch()
    return path


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def fake_workers() -> Any:
    """A module with verl's two classes, as far as the hook knows them; each time new ones."""
    engine = type("TrainingWorker", (_FakeEngine,), dict(vars(_FakeEngine)))
    actor = type("ActorRolloutRefWorker", (_FakeActor,), dict(vars(_FakeActor)))
    actor.actor = engine()  # type: ignore[attr-defined]
    return SimpleNamespace(TrainingWorker=engine, ActorRolloutRefWorker=actor)


class _FakeEngine:
    config = SimpleNamespace(model_type="language_model")

    def infer_batch(self, data: Any) -> str:
        return "inferred"

    def train_mini_batch(self, data: Any) -> str:
        return self.train_batch(data)

    def train_batch(self, data: Any) -> str:
        return "trained"

    def save_checkpoint(self, path: str) -> None: ...


class _FakeActor:
    actor: Any

    def compute_log_prob(self, data: Any) -> Any:
        return self.actor.infer_batch(data)

    def compute_ref_log_prob(self, data: Any) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")

    def update_actor(self, data: Any) -> Any:
        return self.actor.train_mini_batch(data)

    async def update_weights(self, global_steps: int = 0) -> int:
        return global_steps

    def save_checkpoint(self, path: str) -> None: ...


def test_nothing_is_hooked_where_no_run_asks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAINYARD_RUN_DIR", str(tmp_path))
    assert phases.file_of_run() is None
    (tmp_path / "dryfire").mkdir()
    (tmp_path / "dryfire" / phases.FILE).touch()
    assert phases.file_of_run() == tmp_path / "dryfire" / phases.FILE


def test_each_method_of_the_actor_is_a_phase_with_its_peak(path: Path, fake_cuda: FakeCuda) -> None:
    module = fake_workers()
    assert phases.attach_to_workers(Record(path), module)
    actor = module.ActorRolloutRefWorker()
    assert actor.compute_log_prob({}) == "inferred"
    assert actor.update_actor({}) == "trained"
    assert asyncio.run(actor.update_weights(global_steps=3)) == 3
    actor.save_checkpoint("x")
    ended = [line for line in lines(path) if line["state"] == "ended"]
    assert [line["phase"] for line in ended] == ["log_prob", "update", "weight_sync", "save"]
    assert all(line["by_worker"] for line in ended)
    sizes = ("allocated", "reserved", "others", "total", "uuid")
    assert {name: ended[0][name] for name in sizes} == {
        "allocated": 25 * GIB, "reserved": 30 * GIB, "others": 5 * GIB, "total": 80 * GIB,
        "uuid": "GPU-12ab-34",
    }  # fmt: skip
    assert fake_cuda.resets == 4


def test_what_breaks_off_is_told_with_its_error_and_is_raised(path: Path) -> None:
    module = fake_workers()
    phases.attach_to_workers(Record(path), module)
    with pytest.raises(RuntimeError, match="out of memory"):
        module.ActorRolloutRefWorker().compute_ref_log_prob({})
    assert lines(path)[-1]["state"] == "failed"
    assert lines(path)[-1]["phase"] == "ref"
    assert "CUDA out of memory" in lines(path)[-1]["error"]
    assert "allocated" not in lines(path)[-1]  # there is no GPU


@pytest.mark.parametrize(
    ("model", "method", "data", "phase"),
    [
        ("value_model", "infer_batch", {}, "values"),
        ("value_model", "train_mini_batch", {}, "critic"),
        ("language_model", "train_batch", {}, "update"),
        ("language_model", "infer_batch", {}, "validation"),
        ("language_model", "infer_batch", {"compute_loss": False}, "ref"),
    ],
)
def test_the_phases_of_an_engine_without_an_actor(
    path: Path, model: str, method: str, data: dict[str, Any], phase: str
) -> None:
    module = fake_workers()
    phases.attach_to_workers(Record(path), module)
    worker = module.TrainingWorker()
    worker.config = SimpleNamespace(model_type=model)
    getattr(worker, method)(data)
    assert [line["phase"] for line in lines(path)] == [phase, phase]


def test_the_driver_tells_the_phases_that_verl_times(path: Path) -> None:
    @contextmanager
    def marked_timer(name: str, timing: dict[str, float], color: str = "") -> Any:
        yield
        timing[name] = 1.0

    module: Any = SimpleNamespace(marked_timer=marked_timer)
    assert phases.attach_to_driver(Record(path), module)
    times: dict[str, float] = {}
    with module.marked_timer("step", times), module.marked_timer("gen", times, color="red"):
        pass
    assert times == {"gen": 1.0, "step": 1.0}
    assert [(line["phase"], line["state"]) for line in lines(path)] == [
        ("rollout", "began"), ("rollout", "ended"),
    ]  # fmt: skip


def test_a_verl_that_differs_is_left_alone(path: Path) -> None:
    assert not phases.attach_to_workers(Record(path), SimpleNamespace())  # type: ignore[arg-type]
    assert not phases.attach_to_driver(Record(path), SimpleNamespace())  # type: ignore[arg-type]


INSTALLED = """
import importlib
from pathlib import Path
from trainyard_node.hooks import phases
record = phases.Record(Path("phases.jsonl"))
attached = [
    phases.attach_to_workers(record, importlib.import_module(phases.WORKERS)),
    phases.attach_to_saver(record, importlib.import_module(phases.SAVER)),
    *(phases.attach_to_driver(record, importlib.import_module(name)) for name in phases.DRIVERS),
]
assert attached == [True] * 7, attached
"""


@pytest.mark.verl
def test_the_installed_verl_has_all_that_is_hooked(
    tmp_path: Path, clean_environment: dict[str, str]
) -> None:
    subprocess.run(
        [sys.executable, "-c", INSTALLED], cwd=tmp_path, env=clean_environment, check=True
    )


def test_without_a_gpu_there_is_nothing_to_read() -> None:
    card.reset()
    assert card.peak() == {}


def test_an_answer_that_ignores_its_end_has_no_token_to_stop_at() -> None:
    limits = Limits(8, 8, 16)
    plain = build_request([1], {}, limits, frozenset({2}), 0)
    whole = build_request([1], {"ignore_eos": True}, limits, frozenset({2}), 0)
    assert (plain.stop, whole.stop) == (frozenset({2}), frozenset())


def test_the_error_of_a_gpu_that_broke_is_told_and_not_that_of_its_figures(
    path: Path, fake_cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> dict[str, int]:
        raise RuntimeError("an illegal memory access was encountered")

    monkeypatch.setattr(card, "peak", broken)
    monkeypatch.setattr(fake_cuda, "reset_peak_memory_stats", broken)
    with pytest.raises(KeyError), Record(path).phase("update", by_worker=True):
        raise KeyError("x")
    assert lines(path)[-1]["error"] == "KeyError: 'x'"


def test_the_figures_of_a_gpu_count_without_its_name(
    fake_cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake_cuda, "get_device_properties", lambda device: SimpleNamespace())
    assert card.peak() == {
        "allocated": 25 * GIB, "reserved": 30 * GIB, "others": 5 * GIB, "total": 80 * GIB,
    }  # fmt: skip
