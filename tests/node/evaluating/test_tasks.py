"""Tasks of lm-eval with data of one's own: what is refused, and that the figures are lm-eval's."""

import json
from pathlib import Path
from typing import Any

import pytest
from evaluating_cases import evaluate, lines, result, write_lines
from trainyard_node.evaluating import model as models
from trainyard_node.evaluating import tasks
from trainyard_node.export.refused import Refused

SUMS = [{"question": f"{a}+{b}=?", "right": str(a + b), "wrong": str(a - b)}
        for a in range(4) for b in range(1, 4)]  # fmt: skip
GENERATED = """
task: own_sums
dataset_path: json
dataset_kwargs: {data_files: {test: sums.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{right}}"
generation_kwargs: {until: ["<|im_end|>"], max_gen_toks: 6}
metadata: {version: 2.0}
"""
CHOSEN = """
task: own_choice
dataset_path: json
dataset_kwargs: {data_files: {test: /elsewhere/sums.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_target: 0
doc_to_choice: "{{[right, wrong]}}"
metric_list: [{metric: acc}, {metric: acc_norm}, {metric: brier_score}]
"""
# Ten lists, each of which names the one before ten times.
GROWING = ", ".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}' if n else 'sums.jsonl'] * 10)}]"
                    for n in range(10))  # fmt: skip
WRONG = {
    GENERATED.replace("{test: sums.jsonl}", f"{{{GROWING}}}"): "more than 10000 files of data",
    "task: [": "cannot be read: ",
    "- 3": "cannot be read: ValueError: Expected YAML dict",
    "group: x": "names no task: it has a line `task: NAME`",
    GENERATED.replace("sums.jsonl", "none.jsonl"): "names the data none.jsonl, and there is no",
    GENERATED.replace("{test: sums.jsonl}", "3"): "names data that is no path: 3",
    GENERATED.replace("{test: sums.jsonl}", "&a [*a]"): "names data within itself",
    GENERATED.replace("dataset_kwargs", "other"): "names no data_files",
    GENERATED.replace("own_sums\n", "own_sums\nutils: !function utils.f\n"): "cannot be read: ",
    GENERATED.replace("test_split: test", "test_split: other"): "cannot be loaded: ",
    GENERATED.replace("output_type: generate_until", "output_type: sing"): "cannot be loaded: ",
}


@pytest.fixture(scope="module", autouse=True)
def offline(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("HF_DATASETS_OFFLINE", "1")
        patch.setenv("HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_lines(tmp_path / "sums.jsonl", SUMS)
    return tmp_path


def task(folder: Path, text: str, name: str = "own.yaml") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("text", WRONG, ids=[*WRONG.values()])
def test_a_task_file_that_cannot_be_used_is_refused_before_the_model(
    text: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "describe", lambda *_: pytest.fail("the model was looked at"))
    spec = {"model": "/no/model", "way": "tasks", "task_files": [task(folder, text)]}
    assert evaluate(folder / "out", "--check", **spec) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"The task file {folder}/own.yaml ")
    assert WRONG[text] in said


def test_without_lm_eval_it_is_said_how_to_install_it(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    spec = {"model": "/no/model", "way": "tasks", "task_files": [task(folder, GENERATED)]}
    assert evaluate(folder / "out", "--check", **spec) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert "lm-eval is not installed in this environment" in said
    pins = said.rpartition(" ")[2]
    assert "lm-eval==0.4.13" in Path(pins).read_text()


def test_figures_are_those_of_lm_eval_and_documents_become_rows(
    samples: dict[str, Any], folder: Path
) -> None:
    """Two tasks at once: one is generated, one is chosen by likelihood. What was answered before
    an interruption is not asked again."""
    tasks.find()
    from lm_eval import simple_evaluate

    warm = f"{samples['directory']}/model-warm"
    files = [task(folder, GENERATED), task(folder, CHOSEN, "choice.yaml")]
    spec = {"model": warm, "way": "tasks", "task_files": files, "batch_size": 4,
            "files": [str(folder / "sums.jsonl")]}  # fmt: skip
    assert evaluate(folder / "out", **spec) == 0
    data = [str(folder / "sums.jsonl")]
    loaded = [tasks.read_task(Path(path), data) for path in files]
    theirs = simple_evaluate(
        "hf", model_args={"pretrained": warm}, tasks=loaded, batch_size=4, device="cpu"
    )
    assert theirs
    found = result(folder / "out")
    for name, value in found["metrics"].items():
        _, of, metric = name.split("/")
        assert value == pytest.approx(theirs["results"][of][f"{metric},none"]), name
    wanted = {"eval/own_sums/exact_match", "eval/own_choice/acc", "eval/own_choice/acc_norm"}
    assert wanted <= found["metrics"].keys()
    assert next(iter(found["metrics"])) in wanted
    assert found["higher_is_better"] == {**dict.fromkeys(wanted, True),
                                         "eval/own_choice/brier_score": False}  # fmt: skip
    assert found["evaluator"]["of"]["tasks"] == {"own_sums": "2.0", "own_choice": ""}
    assert found["evaluator"]["of"]["files"].keys() == {"own.yaml", "choice.yaml", "sums.jsonl"}
    assert found["counts"]["prompts"] == 24
    assert found["counts"]["answers"] == 36
    rows, scores = lines(folder / "out/validation/0.jsonl"), lines(folder / "out/scores.jsonl")
    assert len(rows) == len(scores) == 24
    for row, line in zip(rows, scores, strict=True):
        assert line["scores"] == [row["score"]]
        assert row["task"] == line["task"]
        assert f"eval/{line['task']}/{line['metric']}" in wanted
    chosen = [row for row in rows if row["task"] == "own_choice"]
    assert [row["output"].strip() for row in chosen] == [
        sum_["right" if row["acc"] else "wrong"]
        for row, sum_ in zip(chosen, SUMS, strict=True)
    ]  # fmt: skip
    assert lines(folder / "out/metrics.jsonl")[-1]["step"] == 24


def test_what_was_answered_before_an_interruption_is_not_asked_again(
    samples: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks.find()
    from lm_eval.models.huggingface import HFLM
    from trainyard_node.evaluating import harness

    warm = f"{samples['directory']}/model-warm"
    spec = {"model": warm, "way": "tasks", "task_files": [task(folder, GENERATED)], "batch_size": 4}
    asked: list[int] = []
    real = HFLM.generate_until

    def counted(self: Any, requests: list[Any], *args: Any, **options: Any) -> Any:
        asked.append(len(requests))
        found = real(self, requests[:8] if len(asked) == 1 else requests, *args, **options)
        if len(asked) == 1:
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(HFLM, "generate_until", counted)
    monkeypatch.setattr(harness, "EVERY", 1)
    with pytest.raises(KeyboardInterrupt):
        evaluate(folder / "out", **spec)
    kept = lines(folder / "out/.answers.jsonl")
    assert len(kept) == 8
    assert evaluate(folder / "out", **spec) == 0
    assert asked == [12, 4]
    assert not (folder / "out/.answers.jsonl").exists()
    said = {json.dumps(each["answer"]) for each in kept}
    outputs = [json.dumps(row["output"]) for row in lines(folder / "out/validation/0.jsonl")]
    assert said <= set(outputs)


def test_what_makes_a_task_is_its_file_with_what_it_includes_and_calls(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    for name, text in {
        "own.yaml": "include: base/base.yaml\nprocess_docs: !function utils.process\n",
        "utils.py": "", "base/base.yaml": "include: [../own.yaml]\nx: !function 'deep.more.f'\n",
        "base/other.py": "",
    }.items():  # fmt: skip
        (tmp_path / name).write_text(text)
    (tmp_path / "base/deep").mkdir()
    (tmp_path / "base/deep/more.py").write_text("")
    found = tasks.sources_of(tmp_path / "own.yaml")
    assert {Path(path).name for path in found} == {"own.yaml", "utils.py", "base.yaml", "more.py"}


def test_what_a_function_imports_makes_its_task_too(tmp_path: Path) -> None:
    files = {
        "own.yaml": "process_docs: !function utils.process\n",
        "utils.py": "import json, listed.one\nfrom deep.more import x\nfrom .near import y\n",
        "listed/one.py": "", "deep/own.py": "", "rooted/two.py": "",
        "beside.py": "", "near.py": "from . import beside\n", "notes.txt": "",
        "deep/more.py": "import deeper, rooted.two\n", "deep/other.py": "",
        "deep/deeper/__init__.py": "",
        "deep/deeper/last.py": "", "elsewhere/not.py": "",
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = {Path(path).relative_to(tmp_path.resolve()) for path in
             tasks.sources_of(tmp_path / "own.yaml")}  # fmt: skip
    assert found == {*map(Path, files)} - {Path("notes.txt"), Path("elsewhere/not.py")}


def test_a_task_of_too_many_files_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.yaml").write_text("x: !function utils.f\n")
    for name in ("utils", "a", "b"):
        (tmp_path / f"{name}.py").write_text("")
    monkeypatch.setattr(tasks, "MOST_SOURCES", 3)
    with pytest.raises(Refused, match="made of more than 3 files"):
        tasks.sources_of(tmp_path / "own.yaml")


def test_files_of_one_name_are_each_in_the_digest(tmp_path: Path) -> None:
    from trainyard_node.evaluating.ways import of_tasks

    paths = []
    for nr, text in enumerate("aba"):
        (tmp_path / str(nr)).mkdir()
        (tmp_path / f"{nr}/task.yaml").write_text(text)
        paths.append(str(tmp_path / f"{nr}/task.yaml"))
    found = of_tasks._digests(paths)
    assert list(found) == ["task.yaml", "task.yaml 2"]
    assert len({*found.values()}) == 2


def test_what_a_filter_gave_is_called_the_same_in_figures_and_scores() -> None:
    tasks.find()
    from trainyard_node.evaluating import harness

    found = {
        "results": {"sums": {"alias": "sums", "errs,strict": 0.5, "errs_stderr,strict": 0.1}},
        "higher_is_better": {"sums": {"errs": False, "other": None}},
    }
    assert harness.metrics_of(found)["eval/sums/errs@strict"] == 0.5
    assert harness.sides_of(found) == {"eval/sums/errs@strict": False}
    sample = {"arguments": [["1+1=?"]], "resps": [["2"]], "target": "2", "filter": "strict",
              "metrics": ["odd", "errs"], "odd": (1, 2), "errs": 1.0}  # fmt: skip
    _, line = harness._row("sums", [sample], 0, 0)
    assert line["metric"] == "errs@strict"


def test_the_numbers_of_numpy_are_numbers() -> None:
    tasks.find()
    import numpy as np
    from trainyard_node.evaluating import harness

    for value in (np.float32(1), np.int64(1), np.bool_(True), 1, True):
        assert harness._value(value) == 1.0
    for none in (np.float32("nan"), np.float64("inf"), "1", None, (1, 2)):
        assert harness._value(none) is None
    sample = {"arguments": [["1+1=?"]], "resps": [["2"]], "target": "2", "filter": "none",
              "metrics": ["odd", "acc"], "odd": (1, 2), "acc": np.float32(1)}  # fmt: skip
    row, line = harness._row("own", [sample], 0, 0)
    assert (row["score"], line["scores"]) == (1.0, [1.0])
