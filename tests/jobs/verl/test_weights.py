"""Weights that could not be loaded are refused by the name of their file."""

import json
from pathlib import Path

import pytest

from jobs.verl.weights import WeightsError, read_shapes
from tests.factories import safetensors

INDEX = "model.safetensors.index.json"
ONE, TWO = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Weights in two parts."""
    (tmp_path / ONE).write_bytes(safetensors({"a": [2, 3]}))
    (tmp_path / TWO).write_bytes(safetensors({"b": [4]}))
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": {"a": ONE, "b": TWO}}))
    return tmp_path


def refused(folder: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        read_shapes(folder)
    return str(caught.value)


def test_shapes_of_one_file_and_of_parts(parts: Path) -> None:
    assert read_shapes(parts) == {"a": (2, 3), "b": (4,)}
    (parts / "model.safetensors").write_bytes(safetensors({"whole": [1]}))
    assert read_shapes(parts) == {"whole": (1,)}


def test_an_index_that_names_an_absent_part(parts: Path) -> None:
    (parts / TWO).unlink()
    assert refused(parts) == f"{parts} has no file {TWO}, which {INDEX} names."


def test_a_link_of_a_hub_cache_whose_target_was_not_fetched(parts: Path) -> None:
    (parts / TWO).unlink()
    (parts / TWO).symlink_to("../../blobs/none")
    assert f"has no file {TWO}" in refused(parts)


def test_a_part_without_a_tensor_that_the_index_names(parts: Path) -> None:
    (parts / INDEX).write_text(json.dumps({"weight_map": {"a": ONE, "b": TWO, "c": TWO}}))
    assert refused(parts) == f"{parts / TWO} has no c, which {INDEX} names."


def test_parts_without_an_index(parts: Path) -> None:
    (parts / INDEX).unlink()
    assert "Without an index, model-0000" in refused(parts)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"weight_map": {}}', '{"weight_map": [1]}'])
def test_an_index_that_names_nothing(parts: Path, text: str) -> None:
    (parts / INDEX).write_text(text)
    assert refused(parts) == f"{parts / INDEX} names no files of weights: it has no weight_map."


def test_an_index_names_no_file_elsewhere(parts: Path) -> None:
    (parts / INDEX).write_text(json.dumps({"weight_map": {"a": f"../{parts.name}/{ONE}"}}))
    assert "has no file ../" in refused(parts)


UNREADABLE = "is no safetensors file: its header cannot be read."
GOOD = safetensors({"a": [2, 3], "b": [100]})


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty."),
        (GOOD[:5], "is no safetensors file: it begins with no header."),
        (GOOD[:30], f"is cut off: its header alone has {len(GOOD) - 106} bytes."),
        (GOOD[:-1], f"is cut off: it has {len(GOOD) - 1} bytes of {len(GOOD)}."),
        (GOOD + b"x", f"has {len(GOOD) + 1} bytes, and its header places only {len(GOOD)}."),
        (b"<html>not found</html>", "is no safetensors file: it begins with no header."),
        ((5).to_bytes(8, "little") + b"[1,2]", UNREADABLE),
        ((2).to_bytes(8, "little") + b"{]", UNREADABLE),
        ((10).to_bytes(8, "little") + b'{"a": [1]}', UNREADABLE),
    ],
)
def test_a_file_that_is_not_whole(tmp_path: Path, data: bytes, words: str) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(data)
    assert refused(tmp_path) == f"{file} {words}"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty."),
        (b"PK\x03\x04" + b"x" * 99, "is cut off: it has no list of its parts at the end."),
        (b"<html>", "is no file of torch.save"),
    ],
)
def test_a_file_of_torch_that_is_not_whole(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(data)
    assert words in refused(tmp_path)


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(GOOD)

    def forbidden(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", forbidden)
    assert refused(tmp_path) == f"{file} cannot be read: Permission denied."
