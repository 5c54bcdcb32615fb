"""The script that measures on a real card, as far as a CPU takes it: all but the figures."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def run(*options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tests.bench.card", *options]
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        command, cwd=ROOT, env=alone, capture_output=True, text=True, timeout=240, check=False
    )


def test_every_part_runs_and_what_is_kept_prints_the_same_table(tmp_path: Path) -> None:
    kept = tmp_path / "kept" / "cpu.json"

    ended = run("--device", "cpu", "--out", str(kept))

    assert ended.returncode == 0, ended.stderr
    found = json.loads(kept.read_text())
    assert found["device"] == "cpu"
    assert found["left_out"] == []
    assert [one["status"] for one in found["cells"]] == ["measured", "measured"], found["cells"]
    for one in found["cells"]:
        took = one["measured"]["seconds"]
        assert set(took) == {"forward", "backward", "optimizer", "step", "log_prob"}
        assert all(seconds > 0 for seconds in took.values())
        parts = took["forward"] + took["backward"] + took["optimizer"]
        assert parts == pytest.approx(took["step"], rel=0.5)
        # A CPU says nothing of a card: there is no figure to compare.
        assert one["measured"]["memory"] is None
        assert one["errors"] is None
        assert one["estimated"]["memory"]["update"]["allocated"] > 0
        assert set(one["estimated"]["seconds"]) == set(took)
    again = run("--compare", str(kept))
    assert again.returncode == 0, again.stderr
    assert again.stdout in ended.stdout


def test_no_cell_starts_that_the_time_does_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from tests.bench.card.cells import CPU
    from tests.bench.card.measure import measure

    kept: list[Any] = []
    found = measure(CPU, "cpu", 1.0, kept.append)

    assert found["cells"] == kept == []
    assert found["left_out"] == [cell.name for cell in CPU]


def test_without_a_card_it_ends_with_a_sentence() -> None:
    ended = run()

    assert ended.returncode == 1
    assert ended.stderr.startswith("PyTorch sees no GPU here")
    assert "Traceback" not in ended.stderr


def test_the_losses_are_those_of_plain_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    import torch

    from tests.bench.card import losses

    losses.check(losses.portioned_forward, losses.portioned_backward, "cpu")
    monkeypatch.setattr(losses, "PORTION", 2 * 4 * 9001)  # two rows, so that the last is alone
    losses.check(losses.portioned_forward, losses.portioned_backward, "cpu")
    with pytest.raises(AssertionError):
        losses.check(losses.portioned_forward, lambda *_: None, "cpu")
    logits = torch.randn(5, 300)
    whole = torch.distributions.Categorical(logits=logits).entropy()
    torch.testing.assert_close(losses.portioned_entropy(logits), whole)


def test_a_cell_that_runs_out_of_memory_is_kept_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    import torch

    from tests.bench.card import measure
    from tests.bench.card.cells import CPU
    from tests.bench.card.losses import losses_of

    def full(*_: Any) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    def broken(*_: Any) -> None:
        raise RuntimeError("No available kernel.")

    monkeypatch.setattr(measure, "Trainer", full)
    found = measure.tried(CPU[0], "cpu", losses_of("cpu"))
    assert found["status"] == "out of memory"
    assert "2.00 GiB" in found["message"]
    monkeypatch.setattr(measure, "Trainer", broken)
    found = measure.tried(CPU[0], "cpu", losses_of("cpu"))
    assert (found["status"], found["message"]) == ("failed", "RuntimeError: No available kernel.")
