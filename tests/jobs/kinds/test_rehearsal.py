"""The rehearsal of a training job, as a kind of job."""

import json
from typing import Any

import pytest

from jobs.kinds.base import End, Line
from jobs.kinds.rehearsal import PARTS, Rehearsal, RehearsalSpec
from jobs.process import Placement
from tests.factories import spec_of

KIND = Rehearsal()
PLACE = Placement("/w/runs/u/attempt-1", "/venv/bin/python", "x")
FOLDER = "/w/runs/u/attempt-1/rehearsal"


def spec(kind: str = "grpo", *overrides: str, is_here: bool = True, **values: Any) -> RehearsalSpec:
    return RehearsalSpec(7, kind, spec_of(kind, *overrides, **values).to_json(), is_here)


def parts(**states: str) -> dict[str, dict[str, Any]]:
    """All parts passed, but for those that are given."""
    told = [{"name": n, "state": states.get(n, "passed"), "said": f"{n} said."} for n in PARTS]
    return {"rehearsed": {"parts": told}}


def plan_of(asked: RehearsalSpec) -> dict[str, Any]:
    plan: dict[str, Any] = json.loads(KIND.command(asked, PLACE, {}).argv[3])
    return plan


def test_its_command_holds_the_plan_and_the_trainers_own_command() -> None:
    command = KIND.command(spec(), PLACE, {})
    assert command.argv[:3] == ("/venv/bin/python", "-m", "trainyard_node.rehearse")
    assert command.argv[4:8] == ("--", "/venv/bin/python", "-m", "verl.trainer.main_ppo")
    assert f"data.train_files={FOLDER}/train.parquet" in command.argv
    assert f"actor_rollout_ref.model.path={FOLDER}/model" in command.argv
    assert "trainer.total_training_steps=2" in command.argv
    assert command.env["VERL_PLATFORM"] == "cpu"


def test_the_second_run_goes_on_from_the_first_ones_checkpoint() -> None:
    assert plan_of(spec())["resume"] == [
        "trainer.resume_mode=resume_path",
        f"trainer.resume_from_path={FOLDER}/checkpoints/global_step_2",
        "trainer.total_training_steps=3",
    ]


def test_the_plan_says_what_the_job_itself_asks_for() -> None:
    plan = plan_of(
        spec(
            "grpo", "data.prompt_key=ask", "+trainer.own_dir=/out",
            "reward.custom_reward_function.reward_kwargs.k=2",
            reward_file="/r.py", reward_name="f", filter_overlong=True, filter_metric="acc",
            lora_rank=8, target_modules="[q_proj]", loggers="wandb",
        )
    )  # fmt: skip
    assert plan["files"]["train"] == {
        "source": "/data/train.parquet", "target": f"{FOLDER}/train.parquet",
    }  # fmt: skip
    assert plan["models"] == {"model": {"source": "/models/tiny", "target": f"{FOLDER}/model"}}
    assert (plan["batch"], plan["limit"], plan["overlong"]) == (32, 32, "dropped")
    assert (plan["column"], plan["metric"], plan["lora"]) == ("ask", "acc", "[q_proj]")
    assert plan["reward"] == {"path": "/r.py", "name": "f", "kwargs": {"k": 2}}
    assert plan["packages"] == {"wandb": "the tracker wandb", "peft": "LoRA"}
    assert plan["folders"] == {"trainer.own_dir": "/out"}


def test_of_a_job_elsewhere_the_trackers_packages_are_not_looked_for() -> None:
    asked = spec(loggers="wandb", is_here=False)
    assert plan_of(asked)["packages"] == {}
    assert "The job's own machine" in KIND.report(asked, {}).not_tried[-1]


def test_of_a_job_elsewhere_no_folder_is_looked_at() -> None:
    assert plan_of(spec("grpo", "+trainer.own_dir=/out", is_here=False))["folders"] == {}


@pytest.mark.parametrize("is_here", [True, False])
def test_the_trainer_writes_into_its_own_run_directory_only(is_here: bool) -> None:
    given = (
        "trainer.rollout_data_dir=/scratch/out", "trainer.validation_data_dir=/scratch/out",
        "trainer.default_local_dir=/scratch/out", "hydra.run.dir=/scratch/out",
        "+global_profiler={save_path:/scratch/out}", "ray_kwargs.timeline_json_file=/scratch/out",
        "skip.rollout.enable=true",
    )  # fmt: skip
    asked = spec("grpo", *given, is_here=is_here)
    argv = KIND.command(asked, PLACE, {}).argv[4:]  # without the plan, which says what is checked
    assert not [text for text in argv if "/scratch/out" in text or text.startswith("skip.")]
    for place in ("trainer.rollout_data_dir", "trainer.default_local_dir", "hydra.run.dir"):
        assert [text for text in argv if text.startswith(f"{place}={FOLDER}/")]
    said = KIND.report(asked, {}).not_tried
    assert any(line.startswith("Writing elsewhere") and given[0] in line for line in said)


def test_folders_that_the_job_reads_are_kept() -> None:
    given = (
        "+ray_kwargs.ray_init.runtime_env.working_dir=/mine",
        "reward.custom_reward_function.reward_kwargs.cases_dir=/cases",
    )
    assert set(given) <= {*KIND.command(spec("grpo", *given), PLACE, {}).argv}
    assert plan_of(spec("grpo", *given))["folders"] == {}


@pytest.mark.parametrize(
    ("kind", "values", "overlong"),
    [
        ("sft", {}, "error"),
        ("sft", {"truncation": "right"}, "cut"),
        ("dpo", {"truncation": "left"}, "cut"),
        ("ppo", {}, "error"),
    ],
)
def test_what_becomes_of_long_rows(kind: str, values: dict[str, Any], overlong: str) -> None:
    plan = plan_of(spec(kind, **values))
    assert plan["overlong"] == overlong
    assert (plan["reward"] is None) == (kind in ("sft", "dpo"))


def test_checkpoints_that_cannot_be_resumed_from_are_said_to_be_so() -> None:
    assert plan_of(spec("sft"))["cannot_resume"] == ""
    assert "leave out optimizer" in plan_of(spec("sft", save_contents="model"))["cannot_resume"]


@pytest.mark.parametrize(
    ("end", "status", "reason"),
    [
        (End(0, 10, 10, said=parts()), "completed", "All 10 parts passed."),
        (
            End(0, 10, 10, said=parts(reward="warned")),
            "completed",
            "All 10 parts passed, with 1 doubt.",
        ),
        (End(1, 10, 10, said=parts(data="failed")), "failed", "Data: data said."),
        (End(0, 10, 10, said=parts(data="failed")), "failed", "Data: data said."),
        (
            End(1, 10, 10, said=parts(config="failed", model="failed", data="failed")),
            "failed",
            "Config: config said. And 2 more faults.",
        ),
        (
            End(0, 10, 10, said=parts(resume="skipped")),
            "failed",
            "Ended without an error, but at part 10 of 10.",
        ),
        (End(1, 10, 10, said=parts()), "failed", "Exit code 1 at part 10 of 10."),
        (End(143, 3, 10, stop_asked=True), "stopped", "Stopped on request at part 3 of 10."),
    ],
)
def test_it_is_completed_when_every_part_passed(end: End, status: str, reason: str) -> None:
    verdict = KIND.judge(spec(), end)
    assert (verdict.status, verdict.reason) == (status, reason)


def test_the_report_has_the_parts_that_wait_and_no_nonsense() -> None:
    told = [
        {"name": "config", "state": "passed", "said": "Good.", "seconds": 1.5},
        {"name": "folders", "state": "skipped", "said": "Not reached.", "seconds": 0.0},
        {"name": "model", "state": "splendid"},
        {"name": "bribe", "state": "passed"},
        ["data"],
    ]
    report = KIND.report(spec(), {"rehearsed": {"parts": told}})
    assert report.lines[0] == Line("config", "passed", "Good.", 1.5)
    assert [line.name for line in report.lines] == [*PARTS]
    assert report.lines[1] == Line("folders", "skipped", "Not reached.", None)
    assert {line.state for line in report.lines[2:]} == {"waiting"}


def test_it_reads_what_the_job_reads_and_takes_no_gpu() -> None:
    asked = spec(reward_file="/r.py")
    assert KIND.reads(asked).files["reward_file"] == "/r.py"
    assert KIND.reads(asked).models == {"model_path": "/models/tiny"}
    assert KIND.devices(asked) == 0
    assert KIND.makes(asked) == ()
