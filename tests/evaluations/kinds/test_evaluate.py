"""The kind of job that evaluates a model: its command, what it reads, what its end is worth."""

import json
from dataclasses import replace
from typing import Any

import pytest

from evaluations.kinds.evaluate import Evaluate, EvaluateSpec
from jobs.kinds.base import End
from jobs.process import Placement

KIND = Evaluate()
PLACE = Placement("/w/runs/u/attempt-1", "/venv/bin/python", "a-run")
SPEC = EvaluateSpec(
    "/m/a", files=["/d/a.parquet"], reward_file="/d/reward.py", of_job=7, of_step=20
)
FOUND = {
    "metrics": {"eval/score/mean": 0.53125, "eval/tokens/mean": 3.0},
    "counts": {"prompts": 32, "answers": 32, "failed_scores": 0, "too_long": 0},
}


def told(spec: EvaluateSpec) -> dict[str, Any]:
    """The spec that the program in the node is given."""
    argv = KIND.command(spec, PLACE, {}).argv
    found: dict[str, Any] = json.loads(argv[argv.index("--text") + 1])
    return found


def test_its_command_is_the_nodes_program_with_what_is_not_usual() -> None:
    command = KIND.command(SPEC, PLACE, {})
    assert command.argv[:4] == ("/venv/bin/python", "-m", "trainyard_node.evaluating", "--text")
    assert command.argv[-2:] == ("--out", "/w/runs/u/attempt-1/evaluation")
    assert told(SPEC) == {
        "model": "/m/a", "way": "answers", "files": ["/d/a.parquet"],
        "reward_file": "/d/reward.py", "of_step": 20,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "missing"),
    [
        (SPEC, set()),
        (replace(SPEC, gpus=1), {"CUDA_VISIBLE_DEVICES"}),
        (replace(SPEC, model="Qwen/Qwen3-0.6B"), {"HF_HUB_OFFLINE"}),
        (replace(SPEC, way="tasks", tasks=["gsm8k"]), {"HF_HUB_OFFLINE"}),
        (replace(SPEC, way="tasks", task_files=["/d/own.yaml"]), set()),
    ],
)
def test_it_has_its_gpus_and_the_hub_only_where_it_needs_them(
    spec: EvaluateSpec, missing: set[str]
) -> None:
    usual = {"CUDA_VISIBLE_DEVICES", "HF_HUB_OFFLINE", "PYTHONUNBUFFERED"}
    assert KIND.command(spec, PLACE, {}).env.keys() == usual - missing
    assert KIND.devices(spec) == spec.gpus


def test_a_checkpoint_lies_on_its_machine_and_a_folder_is_sent() -> None:
    assert KIND.reads(SPEC).models == {"model": "/m/a"}
    path = "/w/runs/v/attempt-1/checkpoints/global_step_20"
    reads = KIND.reads(replace(SPEC, model=path, adapter="/m/lora"))
    assert reads.models == {}
    assert reads.inputs == {"checkpoint": path, "adapter": "/m/lora"}
    assert KIND.reads(replace(SPEC, model=f"{path}/actor/huggingface")).models


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (FOUND, "Evaluated on 32 prompts; eval/score/mean 0.53125."),
        (
            FOUND | {"counts": {"prompts": 1, "failed_scores": 3, "too_long": 2}},
            "Evaluated on 1 prompt; eval/score/mean 0.53125; 3 could not be scored; 2 too long.",
        ),
        ({"metrics": {"eval/sums/acc": 1}}, "Evaluated; eval/sums/acc 1."),
        ({}, "Evaluated."),
        ({"metrics": {"eval/score/mean": float("nan")}, "counts": 3}, "Evaluated."),
    ],
)
def test_what_it_found_is_in_its_reason(found: dict[str, Any], reason: str) -> None:
    verdict = KIND.judge(SPEC, End(0, said={"evaluated": found}))
    assert (verdict.status, verdict.reason) == ("completed", reason)


def test_no_result_is_no_success() -> None:
    assert KIND.judge(SPEC, End(0, 32, 32)).status == "failed"
    refused = End(1, said={"refused": {"message": "There is no model at /m/a"}})
    verdict = KIND.judge(SPEC, refused)
    assert (verdict.status, verdict.reason) == ("failed", "There is no model at /m/a.")
    assert KIND.judge(SPEC, End(137, 3, 32, stop_asked=True)).status == "stopped"
    assert KIND.judge(SPEC, End(1, said={"evaluated": FOUND})).status == "failed"


def test_the_metrics_of_its_way_stand_first() -> None:
    assert KIND.key_metrics(SPEC)[0] == "eval/score/mean"
    assert KIND.key_metrics(replace(SPEC, way="loss")) == ("eval/loss", "eval/perplexity")
    assert KIND.key_metrics(replace(SPEC, way="of a later version")) == ()
