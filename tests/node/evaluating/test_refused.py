"""What cannot be evaluated is refused in words, before weights are loaded, and leaves nothing."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from evaluating_cases import REWARD, asking, evaluate, write_lines
from trainyard_node.evaluating import model as models
from trainyard_node.evaluating.spec import read_spec
from trainyard_node.export.refused import Refused

WRONG = [
    ({"way": "loss"}, "model is the model that is evaluated"),
    ({"model": 3}, "model is a text, not 3"),
    ({"model": "/m", "way": "guess"}, "way is one of loss, answers, tasks, not 'guess'"),
    ({"model": "/m", "way": "loss"}, "files names no file of rows"),
    ({"model": "/m", "way": "loss", "files": ["/no/such"]}, "There is no file /no/such"),
    ({"model": "/m", "way": "loss", "files": "x"}, "files is a list of texts, not 'x'"),
    ({"model": "/m", "way": "tasks"}, "tasks names no task of lm-eval"),
    ({"model": "/m", "way": "tasks", "task_files": ["/no.yaml"]}, "There is no file /no.yaml"),
    ({"model": "/m", "way": "tasks", "tasks": ["x"], "backend": "vllm"}, "uses transformers"),
    ({"model": "/m", "files": [REWARD], "samples": 4}, "4 answers to a prompt would be one"),
    ({"model": "/m", "files": [REWARD], "samples": 0}, "samples is a whole number of 1 or more"),
    ({"model": "/m", "files": [REWARD], "seed": 2**40}, "seed is a whole number of 0 or more"),
    ({"model": "/m", "files": [REWARD], "limit": True}, "limit is a whole number of 1 or more"),
    ({"model": "/m", "files": [REWARD], "temperature": -1}, "temperature is a number of 0 or"),
    ({"model": "/m", "files": [REWARD], "temperature": 10**400}, "temperature is a number of 0"),
    ({"model": "/m", "files": [REWARD], "top_p": 0}, "top_p is above 0 and at most 1, not 0"),
    ({"model": "/m", "files": [REWARD], "top_k": 0}, "top_k is a whole number of 1 or more"),
    ({"model": "/m", "files": [REWARD], "dtype": "int4"}, "dtype is one of fp32, bf16, fp16"),
    ({"model": "/m", "files": [REWARD], "backend": "x"}, "backend is one of auto, transformers"),
    ({"model": "/m", "files": [REWARD], "reward_kwargs": []}, "reward_kwargs is an object"),
    ({"model": "/m", "files": [REWARD], "reward_file": "/r.py"}, "There is no file /r.py"),
    ({"model": "/m", "size": 3}, "The spec has no size. It has: model, adapter, way"),
]


@pytest.mark.parametrize(("spec", "why"), WRONG, ids=[why[:30] for _, why in WRONG])
def test_a_wrong_spec_names_its_part(spec: dict[str, Any], why: str) -> None:
    with pytest.raises(Refused) as error:
        read_spec(spec)
    assert why in str(error.value)


@pytest.fixture(scope="module")
def bare(samples: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model without a chat template."""
    folder = tmp_path_factory.mktemp("bare") / "model"
    shutil.copytree(f"{samples['directory']}/model", folder)
    for path in folder.glob("chat_template*"):
        path.unlink()
    return str(folder)


ROW = asking("1+1=?")
LONG = asking("1" * 600)
ROWS: dict[str, tuple[list[Any], dict[str, Any], str]] = {
    "no rows": ([], {}, "The files have no rows"),
    "no prompt": ([{"x": 1}], {}, "Row 0 has neither a prompt nor messages"),
    "odd turns": ([{"prompt": [3]}], {}, "Row 0 has neither a prompt nor messages"),
    "no answer": ([{"messages": ROW["prompt"]}], {}, "messages that end with an answer"),
    "too long": ([LONG], {}, "All 1 prompts are too long: the shortest has 6"),
    "longer than asked": ([ROW], {"max_prompt_tokens": 3}, "and a prompt may have 3"),
    "no such source": ([ROW], {"reward_file": ""}, "verl has no reward function of its own for"),
    "no such name": ([ROW], {"reward_name": "other"}, "There is no other in"),
    "template that fails": (
        [ROW], {"template": "{{ messages.nothing.at_all }}"}, "The chat template fails at row 0"
    ),
    "no loss of prompts": ([ROW], {"way": "loss"}, "Row 0 has neither messages nor a text"),
    "no vllm": ([ROW], {"backend": "vllm"}, "vllm is not installed in this environment"),
    "no adapter": ([ROW], {"adapter": "/no/adapter"}, "There is no adapter at /no/adapter"),
    "no model": ([ROW], {"model": "/no/model"}, "There is no model at /no/model"),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_rows_that_cannot_be_evaluated(
    name: str, samples: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(models, "load", lambda *_: pytest.fail("weights were loaded"))
    rows, more, why = ROWS[name]
    file = write_lines(tmp_path / "rows.jsonl", rows)
    usual = {"model": f"{samples['directory']}/model", "files": [file], "reward_file": REWARD}
    assert evaluate(tmp_path / "out", "--check", **(usual | more)) == 1
    assert why in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_a_model_without_a_chat_template_is_told_what_to_do(
    bare: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_lines(tmp_path / "rows.jsonl", [ROW])
    spec = {"model": bare, "files": [file], "reward_file": REWARD}
    assert evaluate(tmp_path / "out", "--check", **spec) == 1
    assert "has no chat template, and the rows are turns" in capsys.readouterr().err
    template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    assert evaluate(tmp_path / "out", "--check", **spec, template=template) == 0
    plain = write_lines(tmp_path / "plain.jsonl", [{**ROW, "prompt": "1+1=?"}])
    assert evaluate(tmp_path / "out", "--check", **(spec | {"files": [plain]})) == 0


@pytest.mark.parametrize("text", ["{", "3\n", "\udcff"])
def test_a_file_that_is_no_rows_is_named(
    text: str, samples: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("rows.jsonl", "rows.parquet", "rows.csv"):
        file = tmp_path / name
        file.write_bytes(text.encode("utf-8", "surrogateescape"))
        model = f"{samples['directory']}/model"
        assert evaluate(tmp_path / "out", "--check", model=model, files=[str(file)]) == 1
        assert str(file) in capsys.readouterr().err.splitlines()[-1]
