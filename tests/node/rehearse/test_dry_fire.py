"""A dry-fire of the sample job of GRPO by real verl, on the CPU: all of it but the figures."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from rehearsal_plans import Job, planned
from trainyard_node.dryfire import measured
from trainyard_node.dryfire.__main__ import STAGES
from trainyard_node.hooks import phases
from trainyard_node.rehearse.legs import METRICS, lines_of, steps_in

PARTS = [name for stage in STAGES for name in stage]


@pytest.mark.verl
def test_two_steps_with_full_answers_a_validation_and_a_checkpoint(
    samples: dict[str, Any], tmp_path: Path, clean_environment: dict[str, str]
) -> None:
    job = Job({"rollout_n": 4, "micro_batch_size": 24}, trial="dryfire")
    made = planned({"grpo": job}, samples["directory"], tmp_path)["grpo"]
    root = tmp_path / "grpo"
    root.mkdir()
    env = {**clean_environment, **made.env, "TRAINYARD_RUN_DIR": str(root)}
    done = subprocess.run(
        made.argv, cwd=root, env=env, capture_output=True, text=True, timeout=1500, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]

    told = [line for line in lines_of(root / "events.jsonl") if line["kind"] == "dry_fired"][-1]
    states = {part["name"]: part["state"] for part in told["parts"]}
    assert states == {**dict.fromkeys(PARTS, "passed"), "memory": "skipped"}
    assert told["parts"][-1]["said"] == measured.NO_CARD
    found = {row["phase"]: row for row in told["phases"]}
    assert found.keys() == {"weight_sync", "rollout", "log_prob", "update", "save", "validation"}
    assert all(row["seconds"] > 0 and not row["failed"] for row in found.values())
    assert all(row["card"] is None for row in found.values())
    assert told["longest"] == 13  # tokens of the longest prompts of the sample

    steps = steps_in(made.plan.root / METRICS)
    assert {data["response_length/min"] for data in steps.values()} == {8.0}
    seconds = steps[2]["timing_s/update_actor"]
    assert found["update"]["seconds"] == pytest.approx(seconds, abs=0.5)
    assert told["parts"][-2]["said"].startswith("The checkpoint of step 2 is whole: ")
    assert not (made.plan.root / "checkpoints").exists()
    workers = [line for line in lines_of(made.plan.root / phases.FILE) if line["by_worker"]]
    assert {line["phase"] for line in workers} >= {"weight_sync", "log_prob", "update", "save"}
