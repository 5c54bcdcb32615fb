"""The files beside the weights: what a result takes over, and what it does not."""

from pathlib import Path

import pytest
from merge_cases import layered, save_model
from trainyard_node.export.refused import Refused
from trainyard_node.merge import beside
from trainyard_node.merge.merging import Plan, merge, plan
from trainyard_node.merge.recipe import read_recipe

TAKEN = (
    "modeling_own.py", "configuration_own.py", "preprocessor_config.json", "processor_config.json",
    "generation_config.json", "sentencepiece.bpe.model", "own.tiktoken", "tekken.json",
)  # fmt: skip


def passed(folder: Path) -> Plan:
    return plan(read_recipe(f"merge_method: passthrough\nmodels: [{{model: {folder}}}]"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder: Path = save_model(tmp_path / "model", layered(0), num_hidden_layers=3)
    return folder


def test_code_and_settings_are_taken_over(model: Path, tmp_path: Path) -> None:
    for name in (*TAKEN, "notes.txt", "optimizer.pt"):
        (model / name).write_text(f"this is {name}")
    (model / "folder.py").mkdir()
    merge(passed(model), tmp_path / "out")
    for name in TAKEN:
        assert (tmp_path / "out" / name).read_text() == f"this is {name}"
    made = {path.name for path in (tmp_path / "out").iterdir()}
    assert not made & {"notes.txt", "optimizer.pt", "folder.py"}


@pytest.mark.parametrize("name", ["own.py", "tokenizer.json", "generation_config.json"])
def test_no_link_is_followed_out_of_the_folder(model: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("a key")
    (model / name).symlink_to(tmp_path / "secret")
    with pytest.raises(Refused, match=f"{name} of {model} is a link out of its folder"):
        passed(model)
    (model / name).unlink()
    (model / "inside").write_text("{}")
    (model / name).symlink_to(model / "inside")
    merge(passed(model), tmp_path / "out")
    assert (tmp_path / "out" / name).read_text() == "{}"
    assert not (tmp_path / "out" / name).is_symlink()


def test_a_folder_of_the_cache_has_links_to_its_own_files(tmp_path: Path) -> None:
    """As Hugging Face's cache keeps a model: snapshots/REVISION/NAME leads to blobs/HASH."""
    model = save_model(tmp_path / "models--a--b/snapshots/1234", layered(0), num_hidden_layers=3)
    (tmp_path / "models--a--b/blobs").mkdir()
    (tmp_path / "models--a--b/blobs/77").write_text("code = 1")
    (model / "own.py").symlink_to("../../blobs/77")
    merge(passed(model), tmp_path / "out")
    assert (tmp_path / "out/own.py").read_text() == "code = 1"


def test_sizes_and_numbers_have_a_limit(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (model / "own.py").write_text("12345")
    monkeypatch.setattr(beside, "MOST_BYTES", 4)
    with pytest.raises(Refused, match=r"own\.py of .* has 5 bytes"):
        passed(model)
    monkeypatch.setattr(beside, "MOST_BYTES", 5)
    passed(model)
    (model / "more.py").write_text("")
    monkeypatch.setattr(beside, "MOST_FILES", 1)
    with pytest.raises(Refused, match="has 2 files beside its weights"):
        passed(model)
