"""Averages over checkpoints of a run, beside a plain mean in double precision."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from trainyard_node.average.__main__ import main, planned
from trainyard_node.average.spec import read_spec
from trainyard_node.average.weights import ema, uniform, weighted
from trainyard_node.export.refused import Refused
from trainyard_node.record import RUN_DIR

SHAPES = {"model.embed_tokens.weight": (33, 7), "model.norm.weight": (7,), "scale": ()}
BITS = 8  # of a number in bfloat16; the first is not stored


def run_of(folder: Path, dtype: torch.dtype, count: int = 4) -> list[dict[str, Any]]:
    """Checkpoints of small random models, and their values."""
    random = torch.Generator().manual_seed(7)
    made = []
    for step in range(1, count + 1):
        path = folder / f"step-{step}"
        path.mkdir()
        tensors = {n: torch.randn(s, generator=random).to(dtype) for n, s in SHAPES.items()}
        save_file(tensors, path / "model.safetensors")
        (path / "config.json").write_text('{"model_type": "odd"}')
        made.append({"path": str(path), "step": step * 10, "value": float(step)})
    return made


def double_mean(checkpoints: list[dict[str, Any]], shares: list[float]) -> dict[str, Tensor]:
    held = [load_file(Path(each["path"]) / "model.safetensors") for each in checkpoints]
    return {
        name: sum(
            (state[name].double() * share for state, share in zip(held, shares, strict=True)),
            torch.zeros((), dtype=torch.float64),
        )
        for name in SHAPES
    }


CASES: list[tuple[dict[str, Any], list[float]]] = [
    ({"method": "uniform"}, [0.25, 0.25, 0.25, 0.25]),
    ({"method": "last", "last": 2}, [0, 0, 0.5, 0.5]),
    ({"method": "ema", "decay": 0.5}, [0.125, 0.125, 0.25, 0.5]),
    ({"method": "weighted", "higher_is_better": True}, [0.1, 0.2, 0.3, 0.4]),
    ({"method": "weighted", "higher_is_better": False}, [0.48, 0.24, 0.16, 0.12]),
]


@pytest.mark.parametrize(("asked", "shares"), CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_average_is_the_one_of_double_precision(
    asked: dict[str, Any], shares: list[float], dtype: torch.dtype, tmp_path: Path
) -> None:
    checkpoints = run_of(tmp_path, dtype)
    spec = {**asked, "checkpoints": checkpoints[::-1]}
    assert main(["--text", json.dumps(spec), "--out", str(tmp_path / "out")]) == 0
    found = load_file(tmp_path / "out/model.safetensors")
    for name, wanted in double_mean(checkpoints, shares).items():
        assert found[name].dtype == dtype
        half_a_unit = torch.exp2(torch.frexp(wanted).exponent.double() - BITS - 1)
        # Working in single precision moves a result that lies between two by little.
        room = half_a_unit + 1e-6 if dtype == torch.bfloat16 else 1e-6
        assert ((found[name].double() - wanted).abs() <= room).all(), name


def test_shares_are_those_of_their_formulas() -> None:
    assert uniform(4) == [0.25] * 4
    assert ema(3, 0.9) == pytest.approx([0.81, 0.09, 0.1])
    assert ema(3, 1) == [1, 0, 0]
    assert ema(3, 0) == [0, 0, 1]
    assert weighted([1, 3], higher_is_better=True) == [0.25, 0.75]
    assert weighted([1, 3], higher_is_better=False) == [0.75, 0.25]
    with pytest.raises(Refused, match="needs values above 0"):
        weighted([1, 0], higher_is_better=True)


def test_each_byte_is_read_once_and_what_was_made_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = run_of(tmp_path, torch.float32)
    made, _ = planned({"method": "uniform", "checkpoints": checkpoints})
    monkeypatch.setenv(RUN_DIR, str(tmp_path))
    spec = json.dumps({"method": "uniform", "checkpoints": checkpoints})
    assert main(["--text", spec, "--out", str(tmp_path / "out")]) == 0
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    said = {event["kind"]: event for event in map(json.loads, lines)}
    assert said["made"]["tensors"] == 3
    assert [each["share"] for each in said["made"]["checkpoints"]] == [0.25] * 4
    metrics = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    assert metrics["step"] == said["planned"]["steps"]
    assert metrics["data"]["average/read_mib"] * 2**20 == made.bytes_in == 4 * (33 * 7 + 7 + 1) * 4


def test_nan_is_named_with_its_tensor_and_nothing_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints = run_of(tmp_path, torch.float32)
    path = Path(checkpoints[2]["path"]) / "model.safetensors"
    tensors = load_file(path)
    tensors["model.norm.weight"][3] = float("nan")
    save_file(tensors, path)
    before = set(tmp_path.iterdir())
    spec = json.dumps({"method": "uniform", "checkpoints": checkpoints})
    assert main(["--text", spec, "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == f"model.norm.weight of {path.parent} holds NaN or infinite values."
    assert set(tmp_path.iterdir()) == before


TWO = [{"path": "/a", "step": 1}, {"path": "/b", "step": 2}]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"method": "mean"}, "There is no method 'mean'. There are: uniform, last, ema, weighted."),
        ({"method": "uniform", "checkpoints": TWO[:1]}, "a list of two or more"),
        ({"method": "uniform", "checkpoints": [TWO[0]] * 2}, "names the path /a twice"),
        ({"method": "uniform", "checkpoints": TWO, "odd": 1}, "The spec has no odd"),
        ({"method": "uniform", "checkpoints": TWO, "dtype": "int8"}, "dtype is float32 or"),
        ({"method": "uniform", "checkpoints": [3, 4]}, "has a path and a step"),
        ({"method": "uniform", "checkpoints": [{"path": "/a"}] * 2}, "step is a whole number"),
        ({"method": "last", "checkpoints": TWO, "last": 3}, "from 2 to 2, not 3"),
        ({"method": "ema", "checkpoints": TWO, "decay": 1.1}, "decay is a number from 0 to 1"),
        ({"method": "ema", "checkpoints": TWO, "decay": float("nan")}, "decay is a number"),
        ({"method": "ema", "checkpoints": TWO, "decay": 10**400}, "decay is a number"),
        ({"method": "uniform", "checkpoints": TWO, "decay": 0.5}, "decay belongs to ema"),
        ({"method": "ema", "checkpoints": TWO, "decay": 0.5, "last": 2}, "last belongs to last"),
        ({"method": "weighted", "checkpoints": TWO, "higher_is_better": True}, "has no value"),
    ],
)
def test_a_spec_that_is_wrong(spec: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused, match=said):
        read_spec(spec)


def test_checkpoints_of_different_vocabularies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints = run_of(tmp_path, torch.float32)
    path = Path(checkpoints[1]["path"]) / "model.safetensors"
    save_file({**load_file(path), "model.embed_tokens.weight": torch.zeros(34, 7)}, path)
    spec = json.dumps({"method": "uniform", "checkpoints": checkpoints})
    assert main(["--text", spec, "--out", str(tmp_path / "out"), "--check"]) == 1
    assert "The vocabularies differ." in capsys.readouterr().err
