"""The greedy soup: which checkpoints it keeps, and what it leaves behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import is_gone, read_lines
from safetensors.torch import load_file, save_file
from trainyard_node.average.__main__ import main
from trainyard_node.average.greedy import by_score, by_value, tried
from trainyard_node.average.spec import Checkpoint, read_spec
from trainyard_node.export.refused import Refused
from trainyard_node.record import RUN_DIR

FAKE = str(Path(__file__).with_name("fake_scorer.py"))
WAITS = "import os, time; print('scorer', os.getpid(), flush=True); time.sleep(60)"


@pytest.fixture(autouse=True)
def own_signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def candidate(step: int, value: float | None = None) -> Checkpoint:
    return Checkpoint(Path(f"/m/{step}"), step, value)


def kept_by(scores: dict[tuple[int, ...], float], order: Sequence[int]) -> list[int]:
    """The steps that are kept, by the score of each average; an average that is not in the table
    is never asked for."""

    def score(parts: Sequence[Checkpoint]) -> float:
        return scores[tuple(part.step for part in parts)]

    found = list(tried([candidate(step) for step in order], score))
    assert [each.checkpoint.step for each in found] == [*order]
    return [each.checkpoint.step for each in found if each.is_kept]


def test_one_is_kept_where_the_score_gets_no_worse() -> None:
    scores = {(3,): 1.0, (3, 1): 1.25, (3, 2): 1.0, (3, 2, 5): 0.5, (3, 2, 5, 4): 0.75}
    assert kept_by(scores, [3, 1, 2, 5, 4]) == [3, 2, 5]


def test_a_score_that_is_no_number_is_no_better() -> None:
    assert kept_by({(1,): 1.0, (1, 2): float("nan"), (1, 3): 0.5}, [1, 2, 3]) == [1, 3]
    with pytest.raises(Refused, match="step 2, the first in order, has no finite score"):
        kept_by({(2,): float("nan")}, [2])


def test_the_order_of_the_candidates() -> None:
    given = [candidate(1, 2.0), candidate(2, 5.0), candidate(3, 2.0)]
    assert [each.step for each in by_value(given, higher_is_better=True)] == [2, 3, 1]
    assert [each.step for each in by_value(given, higher_is_better=False)] == [3, 1, 2]
    alone = {1: 3.0, 2: float("nan"), 3: 1.0}
    assert [each.step for each in by_score(given, lambda one: alone[one[0].step])] == [3, 1, 2]


def soup(folder: Path, numbers: Sequence[float], *words: str, **more: Any) -> dict[str, Any]:
    """The spec of a soup of models that hold one number each, whose values are those steps."""
    checkpoints = []
    for step, number in enumerate(numbers, 1):
        path = folder / f"m{step}"
        path.mkdir()
        save_file({"model.norm.weight": torch.full((5,), number)}, path / "model.safetensors")
        (path / "config.json").write_text('{"model_type": "odd"}')
        checkpoints.append({"path": str(path), "step": step, "value": float(step)})
    argv = [sys.executable, *(words or (FAKE,)), str(folder / ".out.scoring/model"), "4.0"]
    score = {"argv": argv, "metric": "val/loss", "step": 1}
    given = {"method": "greedy", "checkpoints": checkpoints, "score": score}
    return {**given, "higher_is_better": False, **more}


def made(folder: Path, spec: dict[str, Any]) -> int:
    return main(["--text", json.dumps(spec), "--out", str(folder / "out")])


def test_what_is_kept_is_averaged_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1: off by 3. With 5: 3, off by 1. With 9: 5, off by 1 and no worse. With -9: left out."""
    monkeypatch.setenv(RUN_DIR, str(tmp_path))
    spec = soup(tmp_path, [1.0, 5.0, 9.0, -9.0])
    assert made(tmp_path, spec) == 0
    assert set(load_file(tmp_path / "out/model.safetensors")["model.norm.weight"].tolist()) == {5.0}
    events = read_lines(tmp_path / "events.jsonl")
    told = [each["message"] for each in events if each["kind"] == "tried"]
    assert told[0] == "Candidate 1 of 4, step 1 is tried"
    assert told[3] == "Candidate 2 of 4, step 2: val/loss 1, kept"
    assert told[-1].startswith("Candidate 4 of 4, step 4: val/loss 2.5, left out")
    found = next(each for each in events if each["kind"] == "made")["checkpoints"]
    assert [(each["step"], each["state"], each["score"]) for each in found] == [
        (1, "kept", 3.0), (2, "kept", 1.0), (3, "kept", 1.0), (4, "left_out", 2.5),
    ]  # fmt: skip
    assert [each["share"] for each in found] == [1 / 3, 1 / 3, 1 / 3, 0]
    assert "# Greedy soup: step 1 kept" in (tmp_path / "out/README.md").read_text()
    steps = [each["step"] for each in read_lines(tmp_path / "metrics.jsonl")]
    last = [each["steps"] for each in events if each["kind"] == "planned"][-1]
    assert steps == sorted(steps)
    assert steps[-1] == last
    left = {path.name for path in tmp_path.iterdir() if path.name.startswith(".")}
    assert not left


def test_without_values_each_is_scored_alone_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alone: off by 6, 1, 0 and not a number. So the third is first, and nothing is better."""
    spec = soup(tmp_path, [10.0, 5.0, 4.0, 100.0])
    for each in spec["checkpoints"]:
        del each["value"]
    del spec["higher_is_better"]
    monkeypatch.setenv(RUN_DIR, str(tmp_path))
    assert made(tmp_path, spec) == 0
    events = [each for each in read_lines(tmp_path / "events.jsonl") if each["kind"] == "tried"]
    assert events[0]["message"] == "Step 1 is scored alone"
    rows = [(each["step"], each["state"], each["alone"]) for each in events[-1]["candidates"]]
    assert rows == [
        (3, "kept", 0.0), (2, "left_out", 1.0), (1, "left_out", 6.0), (4, "left_out", None),
    ]  # fmt: skip
    assert set(load_file(tmp_path / "out/model.safetensors")["model.norm.weight"].tolist()) == {4.0}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-c", "pass"), "The average of step 1: The model cannot be scored: its trainer wrote no"),
        (("-c", "raise ValueError('odd')"), "ValueError: odd (Exit code 1.)"),
    ],
)
def test_what_cannot_be_scored_leaves_nothing(
    words: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = soup(tmp_path, [1.0, 2.0], *words)
    before = set(tmp_path.iterdir())
    assert made(tmp_path, spec) == 1
    assert said in capsys.readouterr().err.splitlines()[-1]
    assert set(tmp_path.iterdir()) == before


def test_a_command_that_scores_another_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = soup(tmp_path, [1.0, 2.0])
    spec["score"]["argv"] = [sys.executable, "-c", "pass"]
    assert made(tmp_path, spec) == 1
    assert "The command of score does not name" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_one_leaves_nothing_half_made(sign: signal.Signals, tmp_path: Path) -> None:
    spec = soup(tmp_path, [4.0, 5.0], "-c", WAITS)
    argv = [sys.executable, "-m", "trainyard_node.average", "--text", json.dumps(spec)]
    process = subprocess.Popen(
        [*argv, "--out", str(tmp_path / "out")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    scorer = next(int(line.split()[1]) for line in process.stdout if line.startswith("scorer"))
    assert (tmp_path / ".out.scoring/model/model.safetensors").is_file()
    process.send_signal(sign)
    process.wait(30)
    process.stdout.close()
    assert not (tmp_path / "out").exists()
    if sign == signal.SIGTERM:
        assert not (tmp_path / ".out.scoring").exists()
        assert is_gone(scorer)
    else:
        os.kill(scorer, sign)  # as the platform ends what a killed run left
    spec["score"]["argv"][1:3] = [FAKE]
    assert made(tmp_path, spec) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"m1", "m2", "out"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"score": None}, "score has the command"),
        ({"score": {"argv": []}}, "argv of score is a list of words"),
        ({"score": {"argv": ["a"], "env": {"A": 1}}}, "env of score is a mapping of words"),
        ({"score": {"argv": ["a"]}}, "metric of score is the name"),
        ({"score": {"argv": ["a"], "metric": "m", "step": "1"}}, "step of score is a whole"),
        ({"score": {"argv": ["a"], "odd": 1}}, "The spec has no odd"),
        ({"higher_is_better": None}, "greedy with values needs higher_is_better"),
        ({"method": "uniform", "higher_is_better": None}, "score belongs to greedy, and the"),
    ],
)
def test_a_spec_that_is_wrong(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=said):
        read_spec({**soup(tmp_path, [1.0, 2.0]), **change})


def test_values_for_some_alone_sort_nothing(tmp_path: Path) -> None:
    spec = soup(tmp_path, [1.0, 2.0])
    del spec["checkpoints"][0]["value"]
    with pytest.raises(Refused, match="have a value, or none has"):
        read_spec(spec)
