"""Answers that are scored: what is kept of each, and that a killed evaluation goes on."""

import json
import os
import signal
import subprocess
import sys
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest
from conftest import Run, read_lines, until
from evaluating_cases import REWARD, asking, evaluate, lines, result, write_lines

FUSSY = """
def compute_score(data_source, solution_str, ground_truth, extra_info):
    if extra_info["index"] % 4 == 1:
        raise ValueError("it does not like 1")
    return {"score": float(len(solution_str)), "right": extra_info["index"] == 2, "why": "so"}
"""
SAMPLED = {"samples": 4, "temperature": 1.0, "max_new_tokens": 8}


@pytest.fixture(scope="module")
def warm(samples: dict[str, Any]) -> str:
    return f"{samples['directory']}/model-warm"


@pytest.mark.verl
def test_the_reward_is_what_verls_own_validation_gave(
    grpo_run: Run, samples: dict[str, Any], tmp_path: Path
) -> None:
    """The checkpoint of the last step, on the same prompts, greedy, as the run validated."""
    theirs = read_lines(grpo_run.root / "validation/16.jsonl")
    spec = {
        "model": str(grpo_run.root / "checkpoints/global_step_16"), "max_new_tokens": 8,
        "files": [samples["files"]["rl/val.parquet"]["path"]], "reward_file": REWARD, "of_step": 16,
    }  # fmt: skip
    assert evaluate(tmp_path / "out", **spec) == 0
    ours = lines(tmp_path / "out/validation/16.jsonl")
    names = ("input", "output", "gts", "score", "step", "acc", "number")

    def seen(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return sorted(({name: row[name] for name in names} for row in rows), key=str)

    assert seen(ours) == seen([{**row, "score": round(row["score"], 6)} for row in theirs])
    assert len({row["score"] for row in ours}) > 1  # it is right at some, and wrong at others
    metrics = result(tmp_path / "out")["metrics"]
    [told] = [line["data"] for line in grpo_run.step_lines() if line["step"] == 16]
    logged = {name: value for name, value in told.items() if name.startswith("val-")}
    assert metrics["eval/acc/mean"] == pytest.approx(
        next(value for name, value in logged.items() if name.endswith("acc/mean@1")), abs=1e-6
    )
    reward = next(value for name, value in logged.items() if name.endswith("reward/mean@1"))
    assert metrics["eval/score/mean"] == pytest.approx(reward, abs=1e-6)


def test_a_scorer_that_raises_is_counted_apart(warm: str, tmp_path: Path) -> None:
    fussy = tmp_path / "fussy.py"
    fussy.write_text(FUSSY)
    rows = [asking(f"{n}+1=?", extra_info={"index": n}) for n in range(6)]
    rows += [asking("9" * 600, extra_info={"index": 6})]
    file = write_lines(tmp_path / "rows.jsonl", rows)
    run_dir = tmp_path / "attempt-1"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRAINYARD_RUN_DIR", str(run_dir))
        run_dir.mkdir()
        out = run_dir / "evaluation"
        assert evaluate(out, model=warm, files=[file], reward_file=str(fussy), **SAMPLED) == 0
    found = result(out)
    assert found["counts"] == {
        "prompts": 7, "too_long": 1, "answers": 24, "failed_scores": 8,
        "clipped": found["counts"]["clipped"], "empty": found["counts"]["empty"],
    }  # fmt: skip
    assert "1 of 7 prompts are longer than 511 tokens" in found["left_out"][1]
    assert "8 of 24 answers could not be scored" in found["left_out"][2]
    answers = lines(run_dir / "validation/0.jsonl")
    failed = [row for row in answers if "failed" in row]
    assert {row["failed"] for row in failed} == {"ValueError: it does not like 1"}
    assert {row["score"] for row in failed} == {None}
    scored = [row["score"] for row in answers if "failed" not in row]
    by_prompt = [each["scores"] for each in lines(out / "scores.jsonl")]
    named = lines(out / "scores.jsonl")[1]  # by which the pages of answers find the prompt
    given = next(row["input"] for row in answers if row["uid"] == "1_0_0")
    assert named["input"] == blake2b(given.encode(), digest_size=8).hexdigest()
    assert "1+1=?" in named["text"]
    assert by_prompt[1] == [None] * 4
    assert by_prompt[6] == []
    assert found["metrics"]["eval/score/mean"] == pytest.approx(sum(scored) / len(scored))
    assert found["metrics"]["eval/right/mean"] == 0.25
    [lost] = [each for each in lines(run_dir / "events.jsonl") if each["kind"] == "validation_lost"]
    assert (lost["lost"], lost["of"], lost["step"]) == (8, 24, 0)
    [told] = [each for each in lines(run_dir / "events.jsonl") if each["kind"] == "evaluated"]
    assert told["metrics"] == found["metrics"]


def test_where_nothing_could_be_scored_there_is_no_result(
    warm: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fussy = tmp_path / "fussy.py"
    fussy.write_text(FUSSY)
    file = write_lines(tmp_path / "rows.jsonl", [asking("1+1=?", extra_info={"index": 1})])
    spec = {"model": warm, "files": [file], "reward_file": str(fussy), "max_new_tokens": 2}
    assert evaluate(tmp_path / "out", **spec) == 1
    assert "No answer could be scored, the first because of ValueError" in capsys.readouterr().err
    assert not (tmp_path / "out/evaluation.json").exists()


def test_a_killed_evaluation_goes_on_in_the_next_attempt(
    warm: str, samples: dict[str, Any], tmp_path: Path
) -> None:
    spec = {"model": warm, "files": [samples["files"]["rl/val.parquet"]["path"]],
            "reward_file": REWARD, "batch_size": 2, **SAMPLED}  # fmt: skip
    assert evaluate(tmp_path / "whole", **spec) == 0
    whole = lines(tmp_path / "whole/scores.jsonl")
    first, second = tmp_path / "attempt-1", tmp_path / "attempt-2"
    for folder in (first, second):
        folder.mkdir()
    rows = first / "validation/0.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "trainyard_node.evaluating", "--text", json.dumps(spec),
         "--out", str(first / "evaluation")],
        env={**os.environ, "TRAINYARD_RUN_DIR": str(first)}, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until(lambda: rows.is_file() and rows.read_bytes().count(b"\n") > 4, 120)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    kept = rows.read_bytes().count(b"\n")
    assert kept < 128, "it was through before it was killed"
    with rows.open("ab") as file:
        file.write(b'{"input": "torn')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRAINYARD_RUN_DIR", str(second))
        assert evaluate(second / "evaluation", **spec) == 0
    assert lines(second / "evaluation/scores.jsonl") == whole
    again = (second / "validation/0.jsonl").read_bytes().splitlines()
    assert again[:kept] == rows.read_bytes().splitlines()[:kept]
    assert len(again) == len({json.loads(line)["uid"] for line in again}) == 128
    [planned] = [each for each in lines(second / "events.jsonl") if each["kind"] == "planned"]
    assert f"{kept} answers are kept of an earlier attempt" in planned["message"]
    assert planned["steps"] == 32


def test_what_was_asked_otherwise_is_not_gone_on_with(warm: str, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "rows.jsonl", [asking("1+1=?"), asking("1+2=?")])
    out = tmp_path / "out"
    spec = {"model": warm, "files": [file], "reward_file": REWARD, "max_new_tokens": 4}
    assert evaluate(out, **spec) == 0
    digest = result(out)["evaluator"]["digest"]
    assert evaluate(out, **spec) == 1  # there is one already
    (out / "evaluation.json").unlink()
    (out / "validation/0.jsonl").write_text(
        '{"uid": "0_0_0", "score": 77, "trainyard_tokens": 1}\n'
    )
    assert evaluate(out, **spec) == 0
    assert result(out)["metrics"]["eval/score/best"] > 30  # the row that was there is kept
    assert result(out)["evaluator"]["digest"] == digest
    (out / "evaluation.json").unlink()
    assert evaluate(out, **(spec | {"max_new_tokens": 5})) == 0
    assert result(out)["metrics"]["eval/score/best"] <= 1
    assert result(out)["evaluator"]["digest"] != digest


def test_rows_of_sft_are_asked_without_their_answer(warm: str, tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "1+1=?"}, {"role": "assistant", "content": "2"}]
    file = write_lines(tmp_path / "rows.jsonl", [{"messages": turns}])
    spec = {"model": warm, "files": [file], "reward_file": REWARD, "max_new_tokens": 2}
    assert evaluate(tmp_path / "out", **spec) == 0
    [row] = lines(tmp_path / "out/validation/0.jsonl")
    assert row["input"] == "user\n1+1=?\nassistant\n"
    assert row["gts"] == "2"
    assert row["clipped"] is True
