"""Real DPO runs on the CPU: what they learn, and what must not change what they learn."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import commands
import pytest
import read_keys
from conftest import Run, read_lines, train
from trainyard_node.samples import data

pytestmark = pytest.mark.verl

STEPS = 24
# A learning rate that rises to step 20: a resumed run that began it anew would be seen.
SCHEDULE = ["optim.lr=3e-4", "optim.lr_warmup_steps=20", f"trainer.total_training_steps={STEPS}"]
# One micro batch, one a pair, as many as 256 tokens each make; and rows read by other processes.
SPLITS = {
    "whole": ["data.micro_batch_size_per_gpu=32"],
    "single": ["data.micro_batch_size_per_gpu=1"],
    "workers": ["data.micro_batch_size_per_gpu=32", "data.num_workers=2"],
    "dynamic": ["data.use_dynamic_bsz=True", "data.max_token_len_per_gpu=256"],
}
FEW = "data.train_max_samples=128"
LORA = ["model.lora_rank=4", "model.lora_alpha=8", "model.target_modules=all-linear"]
SHARED = ("train/loss", "train/grad_norm", "train/lr", "train/rewards/", "train/logps/", "val/")
Lines = list[dict[str, float]]


def lines_of(run: Run) -> Lines:
    return [line["data"] for line in run.step_lines()]


def comparable(line: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in line.items() if name.startswith(SHARED)}


def assert_same(ones: Lines, others: Lines, close: float = 1e-4) -> None:
    assert len(ones) == len(others) > 0
    for one, other in zip(ones, others, strict=True):
        assert comparable(one) == pytest.approx(comparable(other), abs=close, rel=close)


def series(lines: Lines, name: str) -> list[float]:
    return [line[name] for line in lines if name in line]


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


@pytest.fixture(scope="session")
def dpo_run(samples: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Run:
    root = tmp_path_factory.mktemp("dpo")
    more = [*SCHEDULE, "trainer.save_freq=12", "trainer.test_freq=12"]
    command = commands.dpo(Path(samples["directory"]), root, 1, *more)
    return train(root, commands.recorded(command, root), 240)


@pytest.fixture(scope="session")
def probed(
    samples: dict[str, Any], dpo_run: Run, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """Short runs in one process: name to {"lines"} or {"refused"}."""
    root = tmp_path_factory.mktemp("probe")
    # A checkpoint alone, without the reference log-probabilities that lie beside it.
    shutil.copytree(dpo_run.root / "checkpoints/global_step_12", root / "alone/global_step_12")
    three = [FEW, "trainer.total_training_steps=3", "trainer.test_freq=3"]
    asked = {name: [*three, *split] for name, split in SPLITS.items()}
    asked |= {
        "lora": [*three, *LORA],
        "lora_base": [*three, *LORA, "dpo.reference=lora_base"],
        "resumed": [
            *SCHEDULE, "trainer.total_training_steps=14", "trainer.resume_mode=resume_path",
            f"trainer.resume_from_path={root}/alone/global_step_12",
        ],
        "long": [*three, "data.max_length=12"],
        "left": [*three, "data.max_length=12", "data.truncation=left"],
        "crowded": [*three, "data.use_dynamic_bsz=True", "data.max_token_len_per_gpu=30"],
        "too_few": [*three, "data.train_max_samples=31"],
    }  # fmt: skip
    return probe(Path(samples["directory"]), root, asked)


def probe(samples: Path, root: Path, asked: dict[str, list[str]]) -> dict[str, Any]:
    common = [*commands.dpo_overrides(samples), "optim.lr=3e-4", "trainer.logger=[file]"]
    common += ["trainer.save_freq=-1"]
    runs = {
        name: [*common, f"trainer.default_local_dir={root}/{name}", *overrides]
        for name, overrides in asked.items()
    }
    (root / "in.json").write_text(json.dumps(runs))
    command = commands.dpo_probe(Path(__file__).parent, root, "runs")
    done = subprocess.run(
        [*command.argv, str(root / "in.json"), str(root / "out.json")],
        env={**commands.plain_environment(), **command.env},
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = json.loads((root / "out.json").read_text())
    return {**found, "log": done.stdout}


def test_it_learns_what_is_preferred(dpo_run: Run) -> None:
    lines = lines_of(dpo_run)
    assert len(lines) == STEPS
    accuracy, margin = (series(lines, f"train/rewards/{n}") for n in ("accuracy", "margin"))
    # The policy begins as the reference: no reward, no margin, the loss of a coin.
    assert (accuracy[0], margin[0]) == (0.0, 0.0)
    assert lines[0]["train/loss"] == pytest.approx(0.693147, abs=1e-6)
    assert mean(accuracy[-6:]) > max(0.8, mean(accuracy[:6]) + 0.1)
    assert mean(margin[-6:]) > mean(margin[:6]) + 0.3
    assert lines[-1]["train/loss"] < 0.55
    rates = [3e-4 * min(1, step / 20) for step in range(1, STEPS + 1)]
    assert series(lines, "train/lr") == pytest.approx(rates)


def test_it_validates_saves_and_says_so(dpo_run: Run) -> None:
    lines = lines_of(dpo_run)
    assert [step for step, line in enumerate(lines, 1) if "val/loss" in line] == [12, 24]
    assert lines[-1]["val/rewards/margin"] > lines[11]["val/rewards/margin"] > 0
    log = (dpo_run.root / "train.log").read_text()
    assert f"Total training steps: {STEPS}," in log
    assert f"Reference log-probabilities, train: {data.DPO_ROWS} of {data.DPO_ROWS} pairs" in log
    events = read_lines(dpo_run.root / "events.jsonl")
    assert [e["step"] for e in events if e["kind"] == "checkpoint"] == [12, 24]
    assert events[-1] == {**events[-1], "kind": "exited", "exit_code": 0}


def test_it_tells_its_start_and_where_its_time_goes(dpo_run: Run) -> None:
    events = read_lines(dpo_run.root / "events.jsonl")
    told = [event["phase"] for event in events if event["kind"] == "phase"]
    assert told == ["processes", "model", "reference", "update"]
    lines = lines_of(dpo_run)
    assert all(line["timing_s/step"] > 0 <= line["timing_s/data"] for line in lines)


def test_it_tells_its_configuration(dpo_run: Run) -> None:
    parts = {line["part"]: line["data"] for line in read_lines(dpo_run.root / "provenance.jsonl")}
    assert parts["config"]["name"] == "dpo_trainer"
    assert parts["config"]["config"]["dpo"]["loss_type"] == "sigmoid"


def test_it_reads_what_the_platform_emits(dpo_run: Run) -> None:
    read_keys.check("dpo", dpo_run.root)


def test_metrics_add_up(dpo_run: Run) -> None:
    for line in lines_of(dpo_run):
        for split in ("train", "val"):
            if f"{split}/loss" not in line:
                continue
            reward = {n: line[f"{split}/rewards/{n}"] for n in ("chosen", "rejected", "margin")}
            assert reward["chosen"] - reward["rejected"] == pytest.approx(
                reward["margin"], abs=1e-5
            )
            assert 0 <= line[f"{split}/rewards/accuracy"] <= 1


def test_a_resumed_run_goes_on_as_the_first_did(
    samples: dict[str, Any], dpo_run: Run, tmp_path: Path
) -> None:
    shutil.copytree(dpo_run.root / "checkpoints", tmp_path / "checkpoints")
    shutil.rmtree(tmp_path / "checkpoints/global_step_24")
    (tmp_path / "checkpoints/latest_checkpointed_iteration.txt").write_text("12")
    more = [*SCHEDULE, "trainer.save_freq=12", "trainer.test_freq=12"]
    run = train(tmp_path, commands.dpo(Path(samples["directory"]), tmp_path, 1, *more), 240)
    steps = [line["step"] for line in run.step_lines()]
    assert steps == list(range(13, STEPS + 1))
    assert_same(lines_of(run), lines_of(dpo_run)[12:])
    log = (run.root / "train.log").read_text()
    assert f"Reference log-probabilities, train: found those of all {data.DPO_ROWS} pairs" in log


def test_the_reference_of_a_resumed_run_is_the_first_model(
    probed: dict[str, Any], dpo_run: Run
) -> None:
    """Also where the log-probabilities must be computed again: not those of the checkpoint."""
    assert_same(probed["resumed"]["lines"][:1], [without_validation(lines_of(dpo_run)[12])])


def without_validation(line: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in line.items() if not name.startswith("val/")}


def test_two_ranks_learn_the_same(samples: dict[str, Any], dpo_run: Run, tmp_path: Path) -> None:
    more = [*SCHEDULE, "trainer.total_training_steps=4", "data.micro_batch_size_per_gpu=8"]
    run = train(tmp_path, commands.dpo(Path(samples["directory"]), tmp_path, 2, *more), 240)
    found = [without_validation(line) for line in lines_of(run)]
    assert_same(found, lines_of(dpo_run)[:4])
    shards = sorted(p.name for p in (tmp_path / "checkpoints/global_step_4").glob("model_*"))
    assert shards == ["model_world_size_2_rank_0.pt", "model_world_size_2_rank_1.pt"]


def test_two_ranks_with_an_adapter(
    samples: dict[str, Any], probed: dict[str, Any], tmp_path: Path
) -> None:
    more = ["optim.lr=3e-4", "trainer.total_training_steps=3", "trainer.test_freq=3", *LORA]
    more += [FEW, "dpo.reference=lora_base"]
    run = train(tmp_path, commands.dpo(Path(samples["directory"]), tmp_path, 2, *more), 240)
    assert_same(lines_of(run), probed["lora"]["lines"])
    facts = json.loads((tmp_path / "checkpoints/global_step_3/lora_train_meta.json").read_text())
    assert facts == {"r": 4, "lora_alpha": 8, "task_type": "CAUSAL_LM"}


@pytest.mark.parametrize("split", ["single", "dynamic", "workers"])
def test_micro_batches_do_not_change_what_is_learnt(probed: dict[str, Any], split: str) -> None:
    assert_same(probed[split]["lines"], probed["whole"]["lines"])


def test_the_base_of_an_adapter_is_a_reference(probed: dict[str, Any]) -> None:
    lines = probed["lora_base"]["lines"]
    assert_same(lines, probed["lora"]["lines"])
    assert lines[-1]["train/rewards/margin"] > 0
    assert lines[-1]["train/rewards/margin"] != probed["whole"]["lines"][-1]["train/rewards/margin"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("long", "tokens are more than data.max_length=12"),
        ("crowded", "is never split, but a micro batch holds 30"),
        ("too_few", "31 pairs, fewer than one step takes"),
    ],
)
def test_what_cannot_be_trained_on_ends_before_the_first_step(
    probed: dict[str, Any], name: str, why: str
) -> None:
    assert why in probed[name]["refused"]


def test_truncation_is_told(probed: dict[str, Any]) -> None:
    assert len(probed["left"]["lines"]) == 3
    assert max(series(probed["left"]["lines"], "train/rows_cut")) > 0
    assert series(probed["whole"]["lines"], "train/rows_cut") == []  # none may be cut
    assert "data.truncation=left: " in probed["log"]
    assert "data.max_length=12 and lose their prompt's start" in probed["log"]
