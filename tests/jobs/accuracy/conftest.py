"""Finished runs on a card that no shop sells: its name says so."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from compute.models import Machine
from compute.sizing import gpus
from jobs.models import Job, Status
from jobs.verl.spec import TrainSpec
from tests import factories
from tests.compute.sizing import configs

FAKE = replace(
    gpus.catalogue()["h100-80g"], slug="fake-card", name="Fake card of a test", names=(),
    source="made up for tests",
)  # fmt: skip
SFT: dict[str, Any] = {
    "train_batch_size": 64, "micro_batch_size": 4, "max_length": 2048, "gpus": 8, "device": "cuda",
}  # fmt: skip
GRPO: dict[str, Any] = {
    "train_batch_size": 64, "mini_batch_size": 64, "micro_batch_size": 4, "rollout_n": 4,
    "log_prob_micro_batch_size": 4, "max_prompt_length": 512, "max_response_length": 1024,
    "gpus": 8, "device": "cuda", "engine": "vllm", "tensor_parallel": 1, "save_freq": 10,
}  # fmt: skip
Finished = Callable[..., Job]


@pytest.fixture
def fake_card(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    known = {**gpus.catalogue(), FAKE.slug: FAKE}
    monkeypatch.setattr(gpus, "catalogue", lambda: known)
    gpus._by_name.cache_clear()
    yield
    gpus._by_name.cache_clear()


@pytest.fixture
def box(db: None, fake_card: None) -> Machine:
    machine = factories.make_ssh_machine(name="fake box")
    cards = [{"index": at, "name": FAKE.name, "memory_total": 79 << 30} for at in range(8)]
    machine.samples.create(at=timezone.now(), data={"gpus": cards})
    return machine


@pytest.fixture
def model(home: Path) -> str:
    folder = home / "qwen"
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(configs.QWEN_25_HALF_B))
    return str(folder)


@pytest.fixture
def finished(user: User, box: Machine, model: str) -> Finished:
    """Makes jobs that have ended, with three steps of these metrics."""

    def make(kind: str = "grpo", metrics: Mapping[str, float] | None = None, **fields: Any) -> Job:
        values = {**(SFT if kind == "sft" else GRPO), "model_path": model}
        spec = TrainSpec(kind, {**values, **fields.pop("values", {})})
        given: dict[str, Any] = {
            "kind": kind, "spec": spec.to_json(), "machine": box, "gpus": 8, "step": 3,
            "status": Status.COMPLETED, "name": "a fake run", "ended_at": timezone.now(),
        }  # fmt: skip
        job = factories.make_job(user, **given | fields)
        for name, value in (metrics or {}).items():
            # The first step of a run is no usual one.
            factories.add_points(job, name, {1: value * 3, 2: value, 3: value})
        return job

    return make
