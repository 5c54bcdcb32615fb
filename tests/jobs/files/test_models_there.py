"""A model of a machine counts as there only when it is whole and its user can read it."""

import json
from pathlib import Path

import pytest

from compute.runners.base import RunnerError, Unreachable
from compute.runners.local.runner import LocalRunner
from jobs.files.models_there import lack_of
from tests.factories import make_model_folder, safetensors

INDEX = "model.safetensors.index.json"
PART = "model-00001-of-00001.safetensors"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_model_folder(tmp_path / "model")


def lack(model: Path) -> str:
    return lack_of(LocalRunner("python", str(model.parent)), str(model))


def in_parts(model: Path) -> Path:
    (model / "model.safetensors").rename(model / PART)
    (model / INDEX).write_text(json.dumps({"weight_map": {"model.norm.weight": PART}}))
    return model / PART


def test_a_whole_model_is_there(model: Path) -> None:
    assert lack(model) == ""
    in_parts(model)
    assert lack(model) == ""


def test_what_is_no_model(model: Path) -> None:
    assert lack(model / "none") == "there is no config.json in it"
    (model / "model.safetensors").unlink()
    assert lack(model) == "there are no weights in it"
    (model / INDEX).write_text("{")
    assert lack(model) == "the index of its weights names none"


def test_a_part_that_is_absent_or_empty(model: Path) -> None:
    part = in_parts(model)
    part.write_bytes(b"")
    assert lack(model) == f"there is no whole {PART} in it"
    part.unlink()
    assert lack(model) == f"there is no whole {PART} in it"


def test_any_part_that_is_cut_off_is_named(model: Path) -> None:
    """Also one behind those that are read at once."""
    (model / "model.safetensors").unlink()
    names = [f"model-{number:05}.safetensors" for number in range(20)]
    for name in names:
        (model / name).write_bytes(safetensors({"a": [100]}))
    (model / INDEX).write_text(json.dumps({"weight_map": {name: name for name in names}}))
    assert lack(model) == ""
    whole = (model / names[18]).read_bytes()
    (model / names[18]).write_bytes(whole[:-7])
    assert lack(model) == f"{names[18]} has {len(whole) - 7} bytes of {len(whole)}"
    (model / names[19]).write_bytes(b"version https://git-lfs.github.com/spec/v1\noid")
    (model / names[18]).write_bytes(whole)
    assert lack(model).startswith(f"{names[19]} is")


def test_weights_that_are_cut_off(model: Path) -> None:
    whole = safetensors({"a": [100]})
    (model / "model.safetensors").write_bytes(whole[:-1])
    assert lack(model) == f"model.safetensors has {len(whole) - 1} bytes of {len(whole)}"
    (model / "model.safetensors").write_bytes(whole[:20])
    assert lack(model) == "model.safetensors is no whole safetensors file"
    (model / "model.safetensors").write_bytes(b"<html></html>")
    assert lack(model) == "model.safetensors is no safetensors file"


def test_a_pointer_in_place_of_the_weights(model: Path) -> None:
    (model / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1")
    assert lack(model) == "model.safetensors is a Git LFS pointer, not the file itself"


def test_what_may_not_be_read_is_not_there(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> bytes:
        raise RunnerError("It cannot be read: Permission denied.")

    monkeypatch.setattr(LocalRunner, "read_many", refuse)
    assert lack(model) == "It cannot be read: Permission denied"


def test_a_machine_that_does_not_answer_is_no_lack(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> bytes:
        raise Unreachable("No route to host.")

    monkeypatch.setattr(LocalRunner, "read", refuse)
    with pytest.raises(Unreachable):
        lack(model)
