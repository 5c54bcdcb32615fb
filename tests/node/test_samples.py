"""The sample model and data."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import pytest
from trainyard_node.samples import build, data, warmup
from transformers import AutoModelForCausalLM, AutoTokenizer


def rows(samples: dict[str, Any], name: str) -> list[dict[str, Any]]:
    table = parquet.read_table(samples["files"][name]["path"])
    assert table.num_rows == samples["files"][name]["rows"]
    found: list[dict[str, Any]] = table.to_pylist()
    return found


def result_of(question: str) -> int:
    first, sign, second = re.fullmatch(r"(\d+)([+-])(\d+)=\?", question).groups()  # type: ignore[union-attr]
    return int(first) + int(sign + second)


def fingerprint(directory: Path) -> dict[str, str]:
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def test_second_call_changes_nothing(samples: dict[str, Any]) -> None:
    directory = Path(samples["directory"])
    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*")}
    command = [sys.executable, "-m", "trainyard_node.samples", str(directory)]
    assert json.loads(subprocess.check_output(command)) == samples
    assert {path: path.stat().st_mtime_ns for path in directory.rglob("*")} == before
    assert [path.name for path in directory.parent.iterdir()] == [directory.name]


def test_same_bytes_every_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warmup, "STEPS", 3)
    first, second = tmp_path / "first", tmp_path / "second"
    build.build(first)
    build.build(second)
    assert fingerprint(first) == fingerprint(second)


def test_other_peoples_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("dear")
    command = [sys.executable, "-m", "trainyard_node.samples", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "not empty" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_an_interrupted_build_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> float:
        raise KeyboardInterrupt

    monkeypatch.setattr(warmup, "warm_up", interrupt)
    with pytest.raises(KeyboardInterrupt):
        build.build(tmp_path / "samples")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["model", "model-warm"])
def test_model_and_tokenizer_fit(samples: dict[str, Any], name: str) -> None:
    entry = samples["models"][name]
    model = AutoModelForCausalLM.from_pretrained(entry["path"])
    tokenizer = AutoTokenizer.from_pretrained(entry["path"])
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == entry["parameters"]
    assert 900_000 < count < 1_200_000
    assert len(tokenizer) <= model.config.vocab_size
    assert tokenizer.decode(model.generation_config.eos_token_id) == "<|im_end|>"
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|endoftext|>")
    text = "Grüße, 世界! 3+4=?"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    chat = [{"role": "user", "content": "1+2=?"}]
    rendered = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    assert rendered == "<|im_start|>user\n1+2=?<|im_end|>\n<|im_start|>assistant\n"


def test_sft_rows(samples: dict[str, Any]) -> None:
    for name in ("sft/train.parquet", "sft/val.parquet"):
        question, answer = rows(samples, name)[0]["messages"]
        assert (question["role"], answer["role"]) == ("user", "assistant")
        assert result_of(question["content"]) == int(answer["content"])


def test_rl_rows(samples: dict[str, Any]) -> None:
    row = rows(samples, "rl/train.parquet")[0]
    assert set(row) == {"data_source", "prompt", "ability", "reward_model", "extra_info"}
    assert row["data_source"] == "trainyard/arithmetic"
    assert row["reward_model"]["style"] == "rule"
    assert result_of(row["prompt"][0]["content"]) == int(row["reward_model"]["ground_truth"])
    assert row["extra_info"]["index"] == 0


def test_dpo_rows(samples: dict[str, Any]) -> None:
    for name in ("dpo/train.parquet", "dpo/val.parquet"):
        for row in rows(samples, name):
            (question,), (right,), (wrong,) = row["prompt"], row["chosen"], row["rejected"]
            assert (question["role"], right["role"], wrong["role"]) == (
                "user", "assistant", "assistant",
            )  # fmt: skip
            assert int(right["content"]) == result_of(question["content"])
            assert 0 <= int(wrong["content"]) != int(right["content"])


def test_older_samples_get_the_pairs_and_keep_the_rest(
    samples: dict[str, Any], tmp_path: Path
) -> None:
    older = tmp_path / "samples"
    shutil.copytree(samples["directory"], older)
    shutil.rmtree(older / "dpo")
    manifest = json.loads((older / build.MANIFEST).read_text())
    manifest |= {"version": 1}
    manifest["files"] = {k: v for k, v in manifest["files"].items() if not k.startswith("dpo/")}
    (older / build.MANIFEST).write_text(json.dumps(manifest))
    assert build.build(older)["files"]["dpo/train.parquet"]["rows"] == data.DPO_ROWS
    assert fingerprint(older) == fingerprint(Path(samples["directory"]))


def test_no_problem_is_in_train_and_validation() -> None:
    train, validation = data.problems(build.SEED)
    assert not {p.question for p in train} & {p.question for p in validation}
    assert len(train) + len(validation) == 155
