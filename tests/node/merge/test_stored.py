"""Which tensors of a folder count: those that its index names, and all parts of it."""

import json
from pathlib import Path

import pytest
import torch
from merge_cases import save_model
from safetensors.torch import save_file
from trainyard_node.export.refused import Refused
from trainyard_node.merge.stored import Stored

FIRST, SECOND = (f"model-0000{number}-of-00002.safetensors" for number in (1, 2))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two shards without an index; the second has one tensor of the first as well."""
    model: Path = save_model(tmp_path / "model", {"one": torch.zeros(2)})
    (model / "model.safetensors").unlink()
    save_file({"one": torch.ones(2)}, model / FIRST)
    save_file({"two": torch.full((2,), 2.0)}, model / SECOND)
    return model


def index(folder: Path, **named: str) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": named}))


def test_all_parts_are_read_without_an_index(folder: Path) -> None:
    assert sorted(Stored(folder).entries) == ["one", "two"]


def test_a_part_that_is_missing_is_named(folder: Path) -> None:
    (folder / FIRST).unlink()
    with pytest.raises(Refused, match=f"has {SECOND}, but not {FIRST}"):
        Stored(folder)


def test_a_tensor_counts_where_the_index_says(folder: Path) -> None:
    save_file({"one": torch.zeros(2), "two": torch.full((2,), 2.0)}, folder / SECOND)
    with pytest.raises(Refused, match=f"one is in {FIRST} and {SECOND}"):
        Stored(folder)
    index(folder, one=FIRST, two=SECOND)
    assert Stored(folder).rows("one", 0, 1).tolist() == [[1.0, 1.0]]


def test_a_tensor_that_the_index_promises_is_there(folder: Path) -> None:
    index(folder, one=FIRST, two=SECOND, three=SECOND)
    with pytest.raises(Refused, match=f"says that {SECOND} has three, which it has not"):
        Stored(folder)


def test_a_tensor_that_no_index_names_does_not_count(folder: Path) -> None:
    index(folder, one=FIRST)
    assert list(Stored(folder).entries) == ["one"]
