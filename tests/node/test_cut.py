"""Answers and rows that are cut at their longest are counted, and told by few events."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import read_lines
from trainyard_node.hooks import cut_answers
from trainyard_node.hooks.tally import Tally

END = 2


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRAINYARD_RUN_DIR", str(tmp_path))
    return tmp_path / "events.jsonl"


def told(path: Path) -> list[tuple[int, int, int]]:
    lines = read_lines(path) if path.exists() else []
    return [(line["step"], line["total"], line["of"]) for line in lines]


def test_few_events_tell_of_many_steps_and_the_last_has_the_whole_number(events: Path) -> None:
    tally = Tally("answers_cut", "answers were cut at 8 tokens")
    for step in range(1, 101):
        tally.add(step, 0 if step == 1 else 1, 4)
    tally.close()
    tally.close()
    assert [total for _, total, _ in told(events)] == [1, 2, 4, 8, 16, 32, 64, 99]
    last = read_lines(events)[-1]
    assert last["message"] == "Up to step 100, 99 of 400 answers were cut at 8 tokens."
    assert last["kind"] == "answers_cut"


def test_nothing_that_is_cut_is_not_told(events: Path) -> None:
    tally = Tally("answers_cut", "answers were cut at 8 tokens")
    tally.add(1, 0, 4)
    tally.close()
    assert told(events) == []


class Trainer:
    """verl's, as far as it is hooked into."""

    def __init__(self) -> None:
        rollout = SimpleNamespace(response_length=3)
        actor = SimpleNamespace(rollout=rollout, model=SimpleNamespace(path="/no/such/model"))
        self.config = SimpleNamespace(actor_rollout_ref=actor)
        self.tokenizer = SimpleNamespace(eos_token_id=END)
        self.global_steps = 0

    def fit(self, agent_loop_manager: Any = None) -> list[dict[str, int]]:
        return [self.step(batch) for batch in agent_loop_manager]

    def step(self, batch: Any) -> dict[str, int]:
        self.global_steps += 1
        metrics: dict[str, int] = {}
        self._compute_metrics(batch, metrics, {}, self.global_steps, 0)
        return metrics

    def _compute_metrics(
        self, batch: Any, metrics: Any, timing_raw: Any, global_steps: Any, epoch: Any
    ) -> None:
        _ = (batch.tags, batch.partition_id, batch.keys, self.tq.kv_batch_get)

    tq = SimpleNamespace(kv_batch_get=None)


ANSWERS = {
    "a_0_0": [5, 5, END],  # ends at the very limit
    "a_1_0": [5, 5, 5],
    "b_0_0": [5, END],
    "b_1_0": [END, 5, 5],
    "pad": [],
}


class Queue:
    asked: list[list[str]]

    def __init__(self) -> None:
        self.asked = []

    def kv_batch_get(self, keys: list[str], partition_id: str, select_fields: list[str]) -> Any:
        self.asked.append(keys)
        answers = [torch.tensor(ANSWERS[key]) for key in keys]
        return {"responses": torch.nested.as_nested_tensor(answers, layout=torch.jagged)}


def batch(*keys: str) -> Any:
    tags = [{"response_len": len(ANSWERS[key]), "is_padding": key == "pad"} for key in keys]
    return SimpleNamespace(keys=list(keys), tags=tags, partition_id="train")


def test_each_step_counts_its_own_and_asks_for_the_longest_answers_alone(events: Path) -> None:
    queue, trainer = Queue(), type("PPOTrainer", (), dict(vars(Trainer)))
    module: Any = SimpleNamespace(PPOTrainer=trainer, tq=queue)
    assert cut_answers.attach(module)
    assert cut_answers.attach(module)  # a second time changes nothing
    metrics = trainer().fit([batch(*ANSWERS), batch("b_0_0"), batch("a_1_0", "b_0_0")])
    assert [step["training/answers_cut"] for step in metrics] == [2, 0, 1]
    assert queue.asked == [["a_0_0", "a_1_0", "b_1_0"], ["a_1_0"]]
    assert told(events) == [(1, 2, 4), (3, 3, 7)]


def former_batch(*answers: list[int]) -> Any:
    """As the former trainer holds answers: padded to the longest that is allowed."""
    shown = [[*answer, *[0] * (3 - len(answer))] for answer in answers]
    mask = [[0, 1, *[1] * len(answer), *[0] * (3 - len(answer))] for answer in answers]
    tensors = {"responses": torch.tensor(shown), "attention_mask": torch.tensor(mask)}
    return SimpleNamespace(batch=tensors)


def test_the_former_trainer_counts_them_too(events: Path) -> None:
    def compute_data_metrics(batch: Any, use_critic: bool = True) -> dict[str, Any]:
        _ = batch.batch
        return {"critic": use_critic}

    module: Any = SimpleNamespace(compute_data_metrics=compute_data_metrics)

    class RayPPOTrainer(Trainer):
        def fit(self) -> list[dict[str, Any]]:  # type: ignore[override]
            measure = module.compute_data_metrics
            return [self.step(batch, measure) for batch in self.batches]

        def step(self, batch: Any, measure: Any) -> dict[str, Any]:  # type: ignore[override]
            self.global_steps += 1
            found: dict[str, Any] = measure(batch=batch, use_critic=False)
            return found

        batches = (former_batch(*ANSWERS.values()), former_batch([5, END]), former_batch([5] * 3))

    module.RayPPOTrainer = RayPPOTrainer
    assert cut_answers.attach_to_former(module)
    assert cut_answers.attach_to_former(module)  # a second time changes nothing
    metrics = RayPPOTrainer().fit()
    assert [step["training/answers_cut"] for step in metrics] == [2, 0, 1]
    assert metrics[0]["critic"] is False
    assert told(events) == [(1, 2, 5), (3, 3, 7)]
    assert "training/answers_cut" not in module.compute_data_metrics(former_batch([5] * 3))


@pytest.mark.parametrize("attach", [cut_answers.attach, cut_answers.attach_to_former])
def test_another_verl_is_left_as_it_is(
    capsys: pytest.CaptureFixture[str], attach: Callable[[Any], bool]
) -> None:
    assert not attach(SimpleNamespace())
    assert "does not count answers that are cut" in capsys.readouterr().err


INSTALLED = """
import json, sys, torch
from trainyard_node.hooks import cut_answers, cut_rows
from verl.trainer.ppo import ray_trainer
from verl.trainer.ppo.v1 import trainer_base
from verl.utils.dataset.multiturn_sft_dataset import MultiTurnSFTDataset
from transformers import AutoTokenizer
attached = [
    cut_answers.attach(trainer_base), cut_answers.attach_to_former(ray_trainer),
    cut_rows.attach(MultiTurnSFTDataset),
]
samples, cuts = sys.argv[1], {}
tokenizer = AutoTokenizer.from_pretrained(f"{samples}/model")
for truncation, longest in (("right", 10), ("right", 64), ("left", 10), ("error", 64)):
    config = {"pad_mode": "no_padding", "truncation": truncation, "max_length": longest}
    rows = MultiTurnSFTDataset(f"{samples}/sft/train.parquet", tokenizer, config, max_samples=8)
    plain = rows[0]
    rows._trainyard_marks = True
    marked = [rows[number] for number in range(8)]
    cuts[f"{truncation}-{longest}"] = {
        "plain": sorted(plain), "cut": [int(row["trainyard_cut"]) for row in marked],
        "kept": [len(row["input_ids"]) for row in marked],
    }
print("FOUND" + json.dumps([attached, cuts]))
"""


def test_the_installed_verl_is_the_one_that_is_counted(
    samples: dict[str, Any], clean_environment: dict[str, str]
) -> None:
    # Elsewhere than here, where the package datasets is the platform's.
    argv = [sys.executable, "-W", "ignore", "-c", INSTALLED, samples["directory"]]
    done = subprocess.run(
        argv, env=clean_environment, cwd="/", capture_output=True, text=True, check=True
    )
    attached, found = json.loads(done.stdout.split("FOUND")[1])
    assert attached == [True, True, True], done.stderr
    whole = found["right-64"]["kept"]
    assert found["right-64"]["cut"] == found["error-64"]["cut"] == [0] * 8
    for name in ("right-10", "left-10"):
        assert found[name]["cut"] == [max(0, length - 10) for length in whole]
        assert max(found[name]["cut"]) > 0
    assert "trainyard_cut" not in found["right-10"]["plain"]  # nobody asked for marks
