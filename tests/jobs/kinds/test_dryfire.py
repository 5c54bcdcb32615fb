"""The dry-fire of a training job, as a kind of job."""

import json
from typing import Any

import pytest

from jobs.kinds.base import End, Phase
from jobs.kinds.dryfire import PARTS, RAY, TORCHRUN, DryFireSpec
from jobs.kinds.registry import kind_of
from jobs.kinds.train import Train
from jobs.process import Placement, Spread
from tests.factories import spec_of

PLACE = Placement("/w/runs/u/attempt-1", "/venv/bin/python", "x", devices=(2, 3))
FOLDER = "/w/runs/u/attempt-1/dryfire"
GPUS: dict[str, Any] = {"device": "cuda", "gpus": 2, "engine": "vllm"}


def spec(kind: str = "grpo", *overrides: str, **values: Any) -> DryFireSpec:
    return DryFireSpec(7, kind, spec_of(kind, *overrides, **values).to_json())


def parts(**states: str) -> dict[str, dict[str, Any]]:
    told = [{"name": n, "state": states.get(n, "passed"), "said": f"{n} said."} for n in PARTS]
    return {"dry_fired": {"parts": told}}


def plan_of(asked: DryFireSpec) -> dict[str, Any]:
    plan: dict[str, Any] = json.loads(kind_of(asked).command(asked, PLACE, {}).argv[3])
    return plan


def test_its_command_is_the_jobs_own_but_for_its_rows_and_its_places() -> None:
    asked = spec(**GPUS)
    command = RAY.command(asked, PLACE, {})
    own = Train("grpo").command(asked.training, PLACE, {})
    assert command.argv[:3] == ("/venv/bin/python", "-m", "trainyard_node.dryfire")
    assert command.argv[4:8] == ("--", "/venv/bin/python", "-m", "verl.trainer.main_ppo")
    differing = {text.partition("=")[0] for text in {*own.argv} ^ {*command.argv[4:]}}
    assert {key for key in differing if "." in key} <= {
        "data.train_files", "data.val_files", "trainer.default_local_dir", "hydra.run.dir",
        "trainer.rollout_data_dir", "trainer.validation_data_dir", "trainer.total_epochs",
        "trainer.total_training_steps", "trainer.save_freq", "trainer.test_freq",
        "actor_rollout_ref.rollout.ignore_eos", "algorithm.filter_groups.enable",
        "trainer.val_before_train",
    }  # fmt: skip
    assert "actor_rollout_ref.model.path=/models/tiny" in command.argv
    assert f"data.train_files={FOLDER}/train.parquet" in command.argv
    assert command.env["CUDA_VISIBLE_DEVICES"] == "2,3"
    assert command.env["VERL_FILE_LOGGER_PATH"] == f"{FOLDER}/metrics.jsonl"


def test_the_plan_says_what_is_to_be_tried() -> None:
    plan = plan_of(spec(**GPUS, loggers="wandb", lora_rank=8))
    assert plan["models"] == {"model": {"source": "/models/tiny", "target": "/models/tiny"}}
    assert plan["files"]["val"] == {
        "source": "/data/val.parquet", "target": f"{FOLDER}/val.parquet",
    }  # fmt: skip
    assert (plan["rows"], plan["val_rows"], plan["batch"], plan["distinct"]) == (64, 32, 32, 8)
    assert (plan["answer"], plan["limit"], plan["steps"]) == (8, 32, 2)
    assert plan["packages"] == {"peft": "LoRA"}  # no tracker has a part in it


def test_it_takes_what_the_job_takes() -> None:
    for name in ("sft", "grpo"):
        asked, train = spec(name, **GPUS), Train(name)
        kind = kind_of(asked)
        assert kind.devices(asked) == 2
        assert kind.devices_at_start(asked) == train.devices_at_start(asked.training)
        assert (kind.one_node, kind.starts_ray) == (train.one_node, train.starts_ray)
        assert kind.reads(asked) == train.reads(asked.training)
    assert RAY.spread(spec(device="cuda", gpus=8), [4, 4]) == Spread(2, 4)
    assert RAY.makes(spec()) == ()
    assert RAY.release(DryFireSpec(7, "grpo", spec_of("grpo", verl="0.8.0").to_json())) == "0.8.0"


@pytest.mark.parametrize(
    ("asked", "end", "status", "reason"),
    [
        (spec(**GPUS), End(0, 8, 8, said=parts()), "completed", "All 8 parts passed."),
        (
            spec(**GPUS),
            End(0, 8, 8, said=parts(memory="warned")),
            "completed",
            "All 8 parts passed, with 1 doubt.",
        ),
        (
            spec(),
            End(0, 8, 8, said=parts(memory="skipped")),
            "completed",
            "All parts passed but memory. memory said.",
        ),
        (
            spec(**GPUS),
            End(0, 8, 8, said=parts(memory="skipped")),
            "failed",
            "All parts passed but memory. memory said.",
        ),
        (
            spec(),
            End(1, 8, 8, said=parts(training="failed", memory="skipped")),
            "failed",
            "Training: training said.",
        ),
        (
            spec(),
            End(0, 8, 8, said=parts(training="skipped", memory="skipped")),
            "failed",
            "Ended without an error, but at part 8 of 8.",
        ),
        (spec(), End(143, 3, 8, stop_asked=True), "stopped", "Stopped on request at part 3 of 8."),
    ],
)
def test_what_its_end_is_worth(asked: DryFireSpec, end: End, status: str, reason: str) -> None:
    verdict = kind_of(asked).judge(asked, end)
    assert (verdict.status, verdict.reason) == (status, reason)


HUGE = int("9" * 400)


@pytest.mark.parametrize("bad", [HUGE, 2**63, -1, True, float("inf"), float("nan"), "1", None])
def test_a_figure_that_is_none_is_not_known(bad: object) -> None:
    told = {
        "phases": [
            {"phase": "update", "card": bad, "allocated": bad, "reserved": bad, "seconds": bad}
        ] * 33,
        "limit": bad, "longest": bad, "parts": [
            {"name": "training", "state": "passed", "said": "Good.", "seconds": bad}
        ],
    }  # fmt: skip
    report = RAY.report(spec(), {"dry_fired": told})
    assert report.phases == (Phase("update"),) * 32
    assert (report.limit, report.longest) == (None, None)
    assert {line.seconds for line in report.lines} == {None}


def test_the_report_has_the_phases_and_no_nonsense() -> None:
    told = {
        "phases": [
            {"phase": "update", "card": 30, "allocated": 20, "reserved": 25, "seconds": 2},
            {"phase": "rollout", "card": None, "seconds": 1.5},
            {"phase": "log_prob", "card": -3, "seconds": "long", "failed": 1, "ran_out": 1},
            {"phase": "save", "failed": True, "ran_out": True},
            {"phase": 3}, "save",
        ],
        "limit": 80, "longest": 12,
    }  # fmt: skip
    report = RAY.report(spec(), {"dry_fired": told})
    assert report.phases == (
        Phase("update", 20, 25, 30, 2.0), Phase("rollout", seconds=1.5), Phase("log_prob"),
        Phase("save", failed=True, ran_out=True),
    )  # fmt: skip
    assert (report.limit, report.longest) == (80, 12)
    assert {line.state for line in report.lines} == {"waiting"}
    assert TORCHRUN.report(spec("sft"), {}).phases == ()
