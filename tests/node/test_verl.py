"""Real verl on the CPU: SFT on one and two ranks, and a GRPO run that learns."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import commands
import pytest
import read_keys
from conftest import Run, read_lines, train
from trainyard_node.provenance import digest
from trainyard_node.schema import dump

pytestmark = pytest.mark.verl


def series(run: Run, metric: str) -> list[float]:
    lines = read_lines(run.root / "metrics.jsonl")
    return [line["data"][metric] for line in lines if metric in line["data"]]


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def test_sft_learns_validates_and_saves(sft_run: Run) -> None:
    losses = series(sft_run, "train/loss")
    assert len(losses) == 64
    assert mean(losses[-5:]) < mean(losses[:5]) / 2
    validation = series(sft_run, "val/loss")
    assert len(validation) == 4
    assert validation[-1] < validation[0]
    for step in (32, 64):
        weights = sft_run.root / f"checkpoints/global_step_{step}/huggingface/model.safetensors"
        assert weights.stat().st_size > 1_000_000


def test_sft_checkpoints_become_events(sft_run: Run) -> None:
    events = read_lines(sft_run.root / "events.jsonl")
    assert [e["step"] for e in events if e["kind"] == "checkpoint"] == [32, 64]
    assert events[-1] == {**events[-1], "kind": "exited", "exit_code": 0}
    samples = read_lines(sft_run.root / "system.jsonl")
    assert max(sample["process_memory"] for sample in samples) > 100_000_000


def phases(run: Run) -> list[str]:
    return [e["phase"] for e in read_lines(run.root / "events.jsonl") if e["kind"] == "phase"]


def test_sft_tells_its_start_and_where_its_time_goes(sft_run: Run) -> None:
    assert phases(sft_run) == ["processes", "model", "update"]
    steps, data = series(sft_run, "timing_s/step"), series(sft_run, "timing_s/data")
    assert (len(steps), len(data)) == (64, 64)
    assert min(steps) > 0 <= min(data)
    assert len(series(sft_run, "timing_s/validate")) == len(series(sft_run, "val/loss"))


def test_grpo_tells_its_start(grpo_run: Run) -> None:
    before_training = {"validation"}
    told = [name for name in phases(grpo_run) if name not in before_training]
    assert told == ["ray", "workers", "model", "rollout", "answers", "update"]


def test_sft_tells_what_it_was_made_with(sft_run: Run) -> None:
    parts = {line["part"]: line["data"] for line in read_lines(sft_run.root / "provenance.jsonl")}
    assert set(parts) == {"software", "hardware", "config"}
    assert parts["software"]["packages"]["verl"] == version("verl")
    assert parts["software"]["node"]["digest"] == digest()
    assert parts["hardware"]["memory"] > 0 < parts["hardware"]["cpus"]
    told = parts["config"]
    assert told["name"] == "sft_trainer_engine"
    command = dict(
        each.split("=", 1) for each in (sft_run.root / "run.sh").read_text().split() if "=" in each
    )
    assert str(told["config"]["optim"]["lr"]) == str(float(command["optim.lr"]))
    assert "${" not in json.dumps(told)


def test_grpo_tells_its_configuration(grpo_run: Run) -> None:
    parts = {line["part"]: line["data"] for line in read_lines(grpo_run.root / "provenance.jsonl")}
    told = parts["config"]
    assert told["name"] == "ppo_trainer"
    known = dump("ppo_trainer")["keys"]
    config = told["config"]
    assert config["algorithm"]["adv_estimator"] == "grpo"
    assert (
        config["actor_rollout_ref"]["rollout"]["prompt_length"]
        == (config["data"]["max_prompt_length"])
    )
    assert {key.partition(".")[0] for key in known} <= set(config)
    assert "${" not in json.dumps(told)


def test_sft_reads_what_the_platform_emits(sft_run: Run) -> None:
    read_keys.check("sft", sft_run.root)


def test_grpo_reads_what_the_platform_emits(grpo_run: Run) -> None:
    read_keys.check("grpo", grpo_run.root)


def test_sft_on_two_ranks(samples: dict[str, Any], tmp_path: Path) -> None:
    more = ["trainer.total_training_steps=6", "trainer.test_freq=3", "trainer.save_freq=-1"]
    more += ["data.max_length=16", "data.truncation=right", "data.num_workers=1"]
    run = train(tmp_path, commands.sft(Path(samples["directory"]), tmp_path, 2, *more), 240)
    cut = series(run, "train/rows_cut")
    assert len(cut) == 6
    assert 0 < sum(cut) < 6 * 32
    told = [event for event in read_lines(tmp_path / "events.jsonl") if event["kind"] == "rows_cut"]
    assert (told[-1]["total"], told[-1]["of"]) == (sum(cut), 6 * 32)
    losses = series(run, "train/loss")
    assert len(losses) == 6
    assert losses[-1] < losses[0]
    assert len(series(run, "val/loss")) == 2
    shards = sorted(
        path.name for path in (tmp_path / "checkpoints/global_step_6").glob("model_world_size_*")
    )
    assert shards == ["model_world_size_2_rank_0.pt", "model_world_size_2_rank_1.pt"]


def test_grpo_learns(grpo_run: Run) -> None:
    scores = series(grpo_run, "critic/score/mean")
    assert len(scores) == 16
    assert mean(scores[-5:]) > mean(scores[:5]) + 0.1, scores


def test_grpo_rollout_and_actor_agree(grpo_run: Run) -> None:
    assert min(series(grpo_run, "training/rollout_actor_probs_pearson_corr")) > 0.99
    assert max(series(grpo_run, "training/rollout_probs_diff_mean")) < 1e-2


def test_grpo_writes_what_the_pages_show(grpo_run: Run) -> None:
    rollouts = {int(path.stem) for path in (grpo_run.root / "rollouts").glob("*.jsonl")}
    assert rollouts == set(range(1, 17))
    first = read_lines(grpo_run.root / "rollouts/1.jsonl")
    assert len(first) == 12 * 8
    assert {"input", "output", "gts", "score", "step", "uid"} <= set(first[0])
    assert {int(p.stem) for p in (grpo_run.root / "validation").glob("*.jsonl")} == {8, 16}
    assert (grpo_run.root / "checkpoints/global_step_16/actor").is_dir()


def test_grpo_leaves_no_process_behind(grpo_run: Run) -> None:
    assert grpo_run.tool("alive") == {"wrapper": False, "process": False, "exit_code": 0}
    assert grpo_run.tool("stop")["signalled"] == "nothing"
