"""verl's engine with this package's loss against TRL's DPOTrainer, on the same pairs and models."""

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import commands
import pyarrow.parquet as parquet
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

pytestmark = pytest.mark.verl

HERE = Path(__file__).parent
TRL = Path(sys.prefix) / "trl"  # see environments/verl-0.9/requirements-trl.txt
PAIRS = 8
CLOSE = 1e-4
# What TRL calls each loss. It smooths the labels of plain DPO only under the name "aot", which for
# a single pair is the same: its pairs are taken one by one.
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "sigmoid": ({"loss_type": "sigmoid", "beta": 0.5}, {"loss_type": ["sigmoid"], "beta": 0.5}),
    "ipo": ({"loss_type": "ipo", "beta": 0.3}, {"loss_type": ["ipo"], "beta": 0.3}),
    "hinge": ({"loss_type": "hinge", "beta": 0.2}, {"loss_type": ["hinge"], "beta": 0.2}),
    "robust": (
        {"loss_type": "robust", "beta": 0.5, "label_smoothing": 0.1},
        {"loss_type": ["robust"], "beta": 0.5, "label_smoothing": 0.1},
    ),
    "smoothed": (
        {"loss_type": "sigmoid", "beta": 0.5, "label_smoothing": 0.2},
        {"loss_type": ["aot"], "beta": 0.5, "label_smoothing": 0.2},
    ),
    "normalized": (
        {"loss_type": "sigmoid", "beta": 2.0, "length_normalize": True},
        {"loss_type": ["sigmoid_norm"], "beta": 2.0},
    ),
}
METRICS = {
    "rewards/chosen": "rewards/chosen",
    "rewards/rejected": "rewards/rejected",
    "rewards/accuracy": "rewards/accuracies",
    "rewards/margin": "rewards/margins",
    "logps/chosen": "logps/chosen",
    "logps/rejected": "logps/rejected",
}


@pytest.fixture(scope="module")
def both(
    samples: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(ours, TRL's), by case."""
    root = tmp_path_factory.mktemp("agreement")
    asked = question(samples, root)
    ours = {**asked, "cases": {name: case for name, (case, _) in CASES.items()}}
    theirs = {**asked, "cases": {name: case for name, (_, case) in CASES.items()}}
    return (
        ask(commands.dpo_probe(HERE, root, "agree"), ours, root / "ours"),
        ask(commands.dpo_trl(HERE, TRL), theirs, root / "theirs"),
    )


def question(samples: dict[str, Any], root: Path) -> dict[str, Any]:
    reference = samples["models"]["model-warm"]["path"]
    rows = parquet.read_table(samples["files"]["dpo/train.parquet"]["path"]).slice(0, PAIRS)
    parquet.write_table(rows, root / "pairs.parquet")
    return {
        "policy": apart_from(reference, root / "policy"),
        "reference": reference,
        "rows": str(root / "pairs.parquet"),
        "alone": ["smoothed"],
        # Two micro batches, whose parts must add up to the whole.
        "overrides": [
            *commands.dpo_overrides(Path(samples["directory"])),
            f"data.micro_batch_size_per_gpu={PAIRS // 2}",
        ],
    }


def apart_from(reference: str, folder: Path) -> str:
    """A policy that is no longer its reference, so that every term of the losses counts."""
    policy = AutoModelForCausalLM.from_pretrained(reference)
    noise = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(0.03 * torch.randn(parameter.shape, generator=noise))
    policy.save_pretrained(folder)
    AutoTokenizer.from_pretrained(reference).save_pretrained(folder)
    return str(folder)


def ask(command: commands.Command, asked: dict[str, Any], folder: Path) -> dict[str, Any]:
    folder.mkdir()
    (folder / "in.json").write_text(json.dumps(asked))
    argv = [*command.argv, str(folder / "in.json"), str(folder / "out.pt")]
    environment = {**commands.plain_environment(), **command.env}
    # In a folder without a `datasets` of its own: TRL needs Hugging Face's.
    done = subprocess.run(
        argv, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = torch.load(folder / "out.pt")
    return found


@pytest.mark.parametrize("case", CASES)
def test_loss_rewards_and_gradients_agree(
    both: tuple[dict[str, Any], dict[str, Any]], case: str
) -> None:
    ours, theirs = (found[case] for found in both)
    assert ours["loss"] == pytest.approx(theirs["loss"], abs=CLOSE)
    for name, trls in METRICS.items():
        assert ours["metrics"][name] == pytest.approx(theirs["metrics"][trls], abs=CLOSE), name
    assert ours["gradients"].keys() == theirs["gradients"].keys()
    for name, gradient in ours["gradients"].items():
        torch.testing.assert_close(gradient, theirs["gradients"][name], rtol=0, atol=CLOSE)


def test_the_comparison_could_fail(both: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """The cases differ from each other, and no gradient is small beside the tolerance."""
    ours, _ = both
    losses = sorted(found["loss"] for found in ours.values())
    assert all(later - earlier > 10 * CLOSE for earlier, later in itertools.pairwise(losses))
    for found in ours.values():
        assert max(float(g.abs().max()) for g in found["gradients"].values()) > 100 * CLOSE
    assert ours["sigmoid"]["metrics"]["rewards/accuracy"] not in (0.0, 1.0)
