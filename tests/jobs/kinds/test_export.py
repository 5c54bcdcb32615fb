"""The export of a checkpoint, as a kind of job."""

from dataclasses import replace

import pytest

from compute.runners.base import FileFact
from jobs.kinds.base import End, Measured, Product, Reads
from jobs.kinds.export import Export, ExportSpec
from jobs.process import Placement

KIND = Export()
SPEC = ExportSpec(7, 20, "/w/runs/v/attempt-1/checkpoints/global_step_20")
SAID = {"exported": {"tensors": 50, "bytes": 2_066_679, "path": "/w/runs/u/attempt-1/model"}}


def test_its_command() -> None:
    command = KIND.command(SPEC, Placement("/w/runs/u/attempt-1", "/venv/bin/python", "x"), {})
    assert command.argv == (
        "/venv/bin/python",
        "-m",
        "trainyard_node.export",
        "/w/runs/v/attempt-1/checkpoints/global_step_20",
        "/w/runs/u/attempt-1/model",
    )
    assert command.env["CUDA_VISIBLE_DEVICES"] == ""
    kept = KIND.command(replace(SPEC, keep_adapter=True), Placement("/r", "python", "x"), {})
    assert kept.argv[-1] == "--keep-adapter"


@pytest.mark.parametrize(
    ("end", "status", "reason"),
    [
        (End(0, 7, 7, said=SAID), "completed", "Step 20 is exported: 50 tensors, 2.0 MiB."),
        (End(0, 7, 7), "failed", "Ended without an error, but at MiB 7 of 7."),
        (End(1, 2, 7), "failed", "Exit code 1 at MiB 2 of 7."),
        (End(1, 2, 7, said=SAID), "failed", "Exit code 1 at MiB 2 of 7."),
        (End(143, 2, 7, stop_asked=True), "stopped", "Stopped on request at MiB 2 of 7."),
        (End(0, said={"exported": {"bytes": "x"}}), "completed", "Step 20 is exported: ? tensors."),
    ],
)
def test_it_is_completed_when_it_says_that_the_folder_is_whole(
    end: End, status: str, reason: str
) -> None:
    verdict = KIND.judge(SPEC, end)
    assert (verdict.status, verdict.reason) == (status, reason)


def test_it_takes_no_gpu_and_reads_a_checkpoint() -> None:
    assert KIND.devices(SPEC) == 0
    assert KIND.reads(SPEC) == Reads(inputs={"checkpoint": SPEC.checkpoint})
    assert KIND.makes(SPEC) == (Product("model", "model"),)
    assert "cannot be paused" in KIND.cannot_save(SPEC)
    assert KIND.key_metrics(SPEC) == ()


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"bytes": 2_066_679, "digest": "a0" * 32}, Measured(2_066_679, "a0" * 32)),
        ({"bytes": 2_066_679}, Measured(2_066_679)),  # of a node package without the digest
        ({"bytes": -1, "digest": "A0" * 32}, Measured()),
        ({"bytes": 1 << 70, "digest": ["a0"]}, Measured()),
        ({"bytes": True, "digest": "a0" * 33}, Measured()),
        ({}, Measured()),
    ],
)
def test_size_and_digest_are_what_it_told_and_junk_is_nothing(
    told: dict[str, object], expected: Measured
) -> None:
    assert KIND.measured(Product("model", "model"), {"exported": told}) == expected


def test_another_job_can_train_on_the_folder_once_it_is_whole() -> None:
    files = [FileFact(name, 10, 0.0) for name in ("config.json", "model.safetensors")]
    assert KIND.newest_model(files, lambda name: b"") == ""
    assert KIND.newest_model(files[:1], lambda name: b"") is None
    parts = [FileFact(f"model-{n}.safetensors", 10, 0.0) for n in (1, 2)]
    index = FileFact("model.safetensors.index.json", 10, 0.0)
    map_of = b'{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}'
    assert KIND.newest_model([files[0], index, *parts], lambda name: map_of) == ""
    assert KIND.newest_model([files[0], index, parts[0]], lambda name: map_of) is None
