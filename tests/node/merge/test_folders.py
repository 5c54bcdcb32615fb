"""Whole folders: what is made, what is refused, and what an interruption leaves."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from merge_cases import layered, save_model
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from trainyard_node.export.refused import Refused
from trainyard_node.merge import inputs, merging
from trainyard_node.merge.__main__ import main
from trainyard_node.merge.merging import Plan, merge, plan
from trainyard_node.merge.recipe import read_recipe
from trainyard_node.merge.tied import is_tied


@pytest.fixture
def models(tmp_path: Path) -> list[Path]:
    return [
        save_model(tmp_path / name, layered(seed), num_hidden_layers=3)
        for seed, name in enumerate(("base", "one", "two"))
    ]


def linear(*folders: Path, more: str = "") -> Plan:
    listed = "".join(f"  - {{model: {each}, parameters: {{weight: 0.5}}}}\n" for each in folders)
    return plan(read_recipe(f"merge_method: linear\nmodels:\n{listed}{more}"))


def ties(models: list[Path], more: str = "") -> Plan:
    base, *others = models
    listed = "".join(f"  - {{model: {each}, parameters: {{weight: 0.5}}}}\n" for each in others)
    head = f"merge_method: ties\nbase_model: {base}\nparameters: {{density: 0.5}}\n"
    return plan(read_recipe(f"{head}models:\n{listed}{more}"))


def test_a_folder_is_made_whole(models: list[Path], tmp_path: Path) -> None:
    (models[1] / "tokenizer.json").write_text("{}")
    (models[1] / "generation_config.json").write_text("{}")
    merge(linear(*models[1:], more="dtype: bfloat16"), tmp_path / "out")
    made = load_file(tmp_path / "out" / "model.safetensors")
    for name, tensor in made.items():
        expected = (layered(1)[name] * 0.5 + layered(2)[name] * 0.5).bfloat16()
        assert torch.equal(tensor, expected), name
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["dtype"] == "bfloat16"
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"model.safetensors", "model.safetensors.index.json", "config.json",
                     "generation_config.json", "tokenizer.json", "README.md"}  # fmt: skip
    assert "merge_method: linear" in (tmp_path / "out" / "README.md").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base", "one", "out", "two"]


def test_shards_and_their_index(models: list[Path], tmp_path: Path) -> None:
    whole = linear(*models)
    cut = plan(whole.recipe, shard_bytes=500)
    merge(whole, tmp_path / "whole")
    merge(cut, tmp_path / "cut")
    index = json.loads((tmp_path / "cut" / "model.safetensors.index.json").read_text())
    assert len(set(index["weight_map"].values())) == len(cut.shards) > 2
    expected = load_file(tmp_path / "whole" / "model.safetensors")
    for name, file in index["weight_map"].items():
        with safe_open(tmp_path / "cut" / file, "pt") as held:
            assert torch.equal(held.get_tensor(name), expected[name])


def test_each_byte_is_read_once_or_twice(
    models: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In chunks of a few rows, so that no tensor is kept between two passes."""
    monkeypatch.setattr(inputs, "CHUNK", 12)
    monkeypatch.setattr(inputs, "SAMPLED", 2)
    once = linear(*models)
    merge(once, tmp_path / "linear")
    assert [each.bytes_read for each in once.models.values()] == [once.bytes_in // 3] * 3
    twice = ties(models)
    merge(twice, tmp_path / "ties")
    vector, rows = 6 * 4, 6 * 4  # the norm is one chunk, which is kept; a sample is two rows
    sampled = 2 * rows * 7
    for each in twice.models.values():
        assert each.bytes_read <= 2 * twice.bytes_in // 3 - vector + sampled


def test_chunks_and_threads_do_not_change_the_bytes(
    models: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, *others = models
    text = "".join(
        f"  - {{model: {each}, parameters: {{weight: 0.5, density: 0.4}}}}\n" for each in others
    )
    head = f"merge_method: dare_ties\nbase_model: {base}\nparameters: {{rescale: false}}\nseed: 7\n"
    recipe = read_recipe(f"{head}models:\n{text}")
    merge(plan(recipe), tmp_path / "first")
    monkeypatch.setattr(inputs, "CHUNK", 12)
    monkeypatch.setattr(merging, "_threads", lambda: 3)
    merge(plan(recipe), tmp_path / "second")
    files = [tmp_path / name / "model.safetensors" for name in ("first", "second")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_layers_are_stacked(models: list[Path], tmp_path: Path) -> None:
    text = f"""
merge_method: passthrough
slices:
  - sources: [{{model: {models[0]}, layer_range: [0, 2]}}]
  - sources: [{{model: {models[1]}, layer_range: [1, 3]}}]
"""
    merge(plan(read_recipe(text)), tmp_path / "out")
    made = load_file(tmp_path / "out" / "model.safetensors")
    assert json.loads((tmp_path / "out" / "config.json").read_text())["num_hidden_layers"] == 4
    name = "model.layers.{}.mlp.up_proj.weight"
    for number, (seed, own) in enumerate(((0, 0), (0, 1), (1, 1), (1, 2))):
        assert torch.equal(made[name.format(number)], layered(seed)[name.format(own)])
    assert torch.equal(made["model.embed_tokens.weight"], layered(0)["model.embed_tokens.weight"])
    assert torch.equal(made["model.norm.weight"], layered(1)["model.norm.weight"])


def test_a_stack_without_a_head_is_refused(models: list[Path], tmp_path: Path) -> None:
    own = save_model(
        tmp_path / "own", {**layered(3), "lm_head.weight": torch.randn(11, 6)},
        tie_word_embeddings=False, num_hidden_layers=3,
    )  # fmt: skip
    text = f"""
merge_method: passthrough
slices:
  - sources: [{{model: {own}, layer_range: [0, 1]}}]
  - sources: [{{model: {models[0]}, layer_range: [1, 2]}}]
"""
    with pytest.raises(Refused, match="the result would have none"):
        plan(read_recipe(text))
    wrong = f"merge_method: linear\nmodels: [{{model: {own}, layer_range: [0, 2]}}]"
    with pytest.raises(Refused, match="layer_range stands at the sources of slices"):
        read_recipe(wrong)


def test_a_head_that_is_tied_in_one_model_only(models: list[Path], tmp_path: Path) -> None:
    tensors = layered(3)
    tensors["lm_head.weight"] = torch.randn(11, 6)
    own = save_model(tmp_path / "own", tensors, tie_word_embeddings=False)
    merge(linear(models[0], own), tmp_path / "out")
    made = load_file(tmp_path / "out" / "model.safetensors")
    expected = layered(0)["model.embed_tokens.weight"] * 0.5 + tensors["lm_head.weight"] * 0.5
    assert torch.equal(made["lm_head.weight"], expected)
    assert (
        json.loads((tmp_path / "out" / "config.json").read_text())["tie_word_embeddings"] is False
    )


def test_pickled_tensors_are_read_and_code_is_not(models: list[Path], tmp_path: Path) -> None:
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "config.json").write_text("{}")
    torch.save(layered(5), pickled / "pytorch_model.bin")
    merge(linear(models[0], pickled), tmp_path / "out")
    made = load_file(tmp_path / "out" / "model.safetensors")["model.norm.weight"]
    assert torch.equal(
        made, layered(0)["model.norm.weight"] * 0.5 + layered(5)["model.norm.weight"] * 0.5
    )
    torch.save({"a": Path("x")}, pickled / "pytorch_model.bin")
    with pytest.raises(Refused, match="holds more than tensors"):
        linear(models[0], pickled)


def test_what_is_known_before_is_refused_before(models: list[Path], tmp_path: Path) -> None:
    def refused(says: str, *folders: Path) -> None:
        with pytest.raises(Refused, match=says):
            linear(*folders)

    refused("There is no model at", models[0], tmp_path / "nowhere")
    other = save_model(tmp_path / "wide", layered(4, width=8))
    refused(r"is \[11, 6\] in .*base and \[11, 8\]", models[0], other)
    tensors = layered(4)
    tensors["model.embed_tokens.weight"] = torch.randn(12, 6)
    refused("The vocabularies differ", models[0], save_model(tmp_path / "words", tensors))
    refused("has 2 layers, and", models[0], save_model(tmp_path / "short", layered(4, layers=2)))
    weights = models[1] / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    refused("may be cut off", models[0], models[1])
    weights.write_bytes(b"version https://git-lfs")
    refused("may be cut off", models[0], models[1])
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors"}}
    (models[1] / "model.safetensors.index.json").write_text(json.dumps(index))
    refused("names model-00001-of-00002.safetensors, which is not there", models[0], models[1])


@pytest.mark.parametrize("where", [0, 4])
def test_nan_is_named_with_its_tensor(models: list[Path], tmp_path: Path, where: int) -> None:
    tensors = layered(1)
    name = list(tensors)[where]
    tensors[name].view(-1)[3] = float("nan")
    save_file(tensors, models[1] / "model.safetensors")
    with pytest.raises(Refused, match=f"{name} of {models[1]} holds NaN"):
        merge(linear(*models), tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base", "one", "two"]


def test_nothing_is_overwritten(models: list[Path], tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in models[0].iterdir()}
    for target, says in (
        (models[0], "is an input|lies in"),
        (models[0] / "below", "lies in"),
        (tmp_path, "lies in"),
    ):
        with pytest.raises(Refused, match=says):
            merge(linear(*models), target)
    (tmp_path / "out").mkdir()
    with pytest.raises(Refused, match="is there already"):
        merge(linear(*models), tmp_path / "out")
    assert {path: path.read_bytes() for path in models[0].iterdir()} == before
    assert list((tmp_path / "out").iterdir()) == []


def test_the_command_says_why(
    models: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"merge_method: passthrough\nmodels: [{{model: {models[0]}}}]\n")
    assert main([str(recipe), "--out", str(tmp_path / "out"), "--check"]) == 0
    assert json.loads(capsys.readouterr().out)["tensors"] == 8
    assert not (tmp_path / "out").exists()
    assert main([str(recipe), "--out", str(tmp_path / "out")]) == 0
    assert main([str(recipe), "--out", str(tmp_path / "out")]) == 1
    assert "is there already" in capsys.readouterr().err


def test_a_check_looks_at_the_target_as_well(
    models: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    text = f"---\nmerge_method:\n  passthrough\nmodels:\n- model:\n    {models[0]}\n"

    def said(target: Path) -> str:
        assert main(["--text", text, "--out", str(target), "--check"]) == 1
        return capsys.readouterr().err

    (tmp_path / "there").mkdir()
    assert "is there already" in said(tmp_path / "there")
    assert "lies in" in said(models[0] / "below")
    (tmp_path / "file").write_text("")
    assert "is no folder" in said(tmp_path / "file" / "below")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=100))
    assert "MiB free" in said(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_document_mark_may_begin_the_text(models: list[Path], tmp_path: Path) -> None:
    """argparse takes a word that begins with hyphens for an option."""
    text = f"---\nmerge_method:\n  passthrough\nmodels:\n-\n  model:\n    {models[0]}"
    assert main(["--text", text.replace(" ", "\t"), "--out", str(tmp_path / "out")]) == 1
    assert main(["--text", text, "--out", str(tmp_path / "out"), "--check"]) == 0
    short = "---{merge_method:passthrough}"
    assert main(["--text", short, "--out", str(tmp_path / "out")]) == 1


def test_whether_the_head_is_tied_is_read_from_the_class_where_nothing_is_said() -> None:
    assert is_tied({"model_type": "gemma"})
    assert not is_tied({"model_type": "qwen2"})
    assert not is_tied({"model_type": "gemma", "tie_word_embeddings": False})
    assert is_tied({"model_type": "odd", "text_config": {"tie_word_embeddings": True}})
    assert not is_tied({"model_type": "odd"})


KILLED = """
import json, os, signal, sys
from trainyard_node.merge import merging
from trainyard_node.merge.__main__ import main
recipe, out = sys.argv[1:3]
merging.SAFE_EVERY = 200  # bytes

def dying(real, left):
    def call(*given, **more):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*given, **more)
    return call

def killed_before(count):
    left = [count]
    for name in ("pwrite", "fsync", "rename", "unlink", "mkdir"):
        setattr(os, name, dying(getattr(os, name), left))
    os._exit(main([recipe, "--out", f"{out}{count}"]))

for count in map(int, sys.argv[3:]):
    child = os.fork()  # one import of PyTorch for all; nothing has run in it yet
    if not child:
        killed_before(count)
    print(count, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=sys.stderr)
"""


def test_killed_at_any_moment_it_is_finished_by_the_next_start(
    models: list[Path], tmp_path: Path
) -> None:
    """Killed before its system calls, at twenty moments of a merge of about 27."""
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(ties(models).recipe.text)
    merge(ties(models), tmp_path / "expected")
    expected = {path.name: path.read_bytes() for path in (tmp_path / "expected").iterdir()}
    moments = random.Random(11).sample(range(27), 20)
    argv = [sys.executable, "-c", KILLED, str(recipe), str(tmp_path / "out")]
    argv += map(str, moments)
    told = subprocess.run(argv, capture_output=True, text=True, check=True).stderr.splitlines()
    ended = {int(moment): int(code) for moment, code in map(str.split, told)}
    assert ended.keys() == set(moments)
    for moment, code in ended.items():
        out = tmp_path / f"out{moment}"
        assert code in (0, -signal.SIGKILL)
        if out.exists():
            assert {path.name for path in out.iterdir()} == set(expected)
        if code:
            merge(ties(models), out)
        assert {path.name: path.read_bytes() for path in out.iterdir()} == expected
        assert not list(tmp_path.glob(f".{out.name}.*"))
    assert sum(code != 0 for code in ended.values()) >= 10


def test_another_merge_does_not_go_on_with_what_was_left(
    models: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another recipe, other shards or a changed input: what lies there is of no use."""
    monkeypatch.setattr(merging, "SAFE_EVERY", 200)
    recipe = linear(*models).recipe
    merge(plan(recipe), tmp_path / "expected")
    expected = load_file(tmp_path / "expected" / "model.safetensors")

    def broken_off(made: Plan) -> None:
        class Cut(Exception):
            pass

        def cut(progress: merging.Progress) -> None:
            if progress.tensors > 5:
                raise Cut

        monkeypatch.setattr(merging, "TOLD_EVERY", 0)
        with pytest.raises(Cut):
            merge(made, tmp_path / "out", merging.Progress(tell=cut))
        assert not (tmp_path / "out").exists()

    broken_off(plan(recipe))
    broken_off(ties(models))
    broken_off(plan(recipe))
    made = plan(recipe, shard_bytes=500)
    merge(made, tmp_path / "out")
    assert len(made.shards) > 1
    for shard in made.shards:
        for name, tensor in load_file(tmp_path / "out" / shard.file).items():
            assert torch.equal(tensor, expected[name])


def test_a_broken_pipe_does_not_end_it(models: list[Path], tmp_path: Path) -> None:
    def nobody_listens(progress: merging.Progress) -> None:
        raise BrokenPipeError

    merge(linear(*models), tmp_path / "out", merging.Progress(tell=nobody_listens))
    assert (tmp_path / "out" / "config.json").is_file()


def test_all_is_on_the_disk_before_it_is_in_its_place(
    models: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real_fsync, real_rename = os.fsync, Path.rename

    def fsync(opened: int) -> None:
        synced.append(Path(f"/proc/self/fd/{opened}").readlink().name)
        real_fsync(opened)

    def rename(path: Path, target: Path) -> Path:
        synced.append("renamed")
        return real_rename(path, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "rename", rename)
    merge(linear(*models), tmp_path / "out")
    before = set(synced[: synced.index("renamed")])
    assert before >= {path.name for path in (tmp_path / "out").iterdir()} | {".out.merging"}


def test_a_result_that_its_type_cannot_hold_is_refused(models: list[Path], tmp_path: Path) -> None:
    tensors = layered(1)
    tensors["model.norm.weight"] *= 1e6
    save_file(tensors, models[1] / "model.safetensors")
    with pytest.raises(Refused, match=r"model\.norm\.weight would hold"):
        merge(linear(*models, more="dtype: float16"), tmp_path / "out")


def test_a_tokenizer_that_cannot_be_read_is_refused(models: list[Path]) -> None:
    for folder in models[:2]:
        (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {"a": 0}}}))
    with pytest.raises(Refused, match=f"The tokenizer of {models[0]} cannot be read"):
        linear(*models[:2], more="tokenizer_source: union\n")
    linear(*models[:2])
