"""Conversions of a small model: its type, its files, its layers and its vocabulary."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from convert_cases import generates, saved
from safetensors.torch import load_file
from trainyard_node.convert.__main__ import main
from trainyard_node.convert.spec import read_spec
from trainyard_node.export.refused import Refused


def converted(tmp_path: Path, source: Path, **spec: Any) -> Path:
    target = tmp_path / "out"
    text = json.dumps({"source": str(source), **spec})
    assert main(["--text", text, "--out", str(target)]) == 0
    return target


def test_another_type_in_more_files(tmp_path: Path) -> None:
    source = saved(tmp_path / "model")
    folder = converted(tmp_path, source, dtype="bfloat16", shard_bytes=10_000)
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    assert (folder / "generation_config.json").is_file()
    assert generates(folder).dtype == torch.bfloat16
    before = load_file(source / "model.safetensors")
    index = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    assert index.keys() == before.keys()
    for name, tensor in before.items():
        assert torch.equal(load_file(folder / index[name])[name], tensor.bfloat16())


@pytest.mark.parametrize(
    ("spec", "more", "said"),
    [
        ({"vocab": 10**400}, {}, "vocab is a whole number from 1 to"),
        ({"vocab": 32}, {"pad_token_id": 60}, "has a token of the number 60"),
        ({"layers": [1, 2, 0]}, {"mlp_only_layers": [0]}, "mlp_only_layers of"),
        ({"layers": [1]}, {"model_type": "gemma2", "layer_types": None}, "The window of"),
    ],
)
def test_what_the_configuration_says_by_numbers(
    tmp_path: Path, spec: dict[str, Any], more: dict[str, Any], said: str
) -> None:
    source = saved(tmp_path / "model")
    config = json.loads((source / "config.json").read_text()) | more
    kept = {key: value for key, value in config.items() if value is not None}
    (source / "config.json").write_text(json.dumps(kept))
    with pytest.raises(Refused, match=said):
        read_spec({"source": str(source), **spec}).plan()


def test_layers_are_dropped_doubled_and_reordered(tmp_path: Path) -> None:
    source = saved(tmp_path / "model")
    folder = converted(tmp_path, source, layers=[2, 0, 0, 2])
    assert generates(folder).config.num_hidden_layers == 4
    before = load_file(source / "model.safetensors")
    after = load_file(folder / "model.safetensors")
    for new, old in enumerate([2, 0, 0, 2]):
        rest = "mlp.up_proj.weight"
        wanted = before[f"model.layers.{old}.{rest}"]
        assert torch.equal(after[f"model.layers.{new}.{rest}"], wanted)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("size", [50, 70])
def test_another_size_of_the_vocabulary(tied: bool, size: int, tmp_path: Path) -> None:
    source = saved(tmp_path / "model", tie_word_embeddings=tied)
    folder = converted(tmp_path, source, vocab=size)
    assert generates(folder).config.vocab_size == size
    before = load_file(source / "model.safetensors")
    after = load_file(folder / "model.safetensors")
    words = ["model.embed_tokens.weight", *([] if tied else ["lm_head.weight"])]
    assert after.keys() == before.keys()
    for name in words:
        kept = min(size, 61)
        assert after[name].shape == (size, 24)
        assert torch.equal(after[name][:kept], before[name][:kept])
        mean = before[name].double().mean(0).float()
        assert torch.allclose(after[name][kept:], mean.expand(size - kept, -1), atol=1e-7)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({}, "source is the path of a folder, not None"),
        ({"source": "/a", "odd": 1}, "The spec has no odd"),
        ({"source": "/a", "dtype": 3}, "dtype is a word"),
        ({"source": "/a", "vocab": 0}, "vocab is a whole number from 1 to"),
        ({"source": "/a", "shard_bytes": True}, "shard_bytes is a whole number"),
        ({"source": "/a", "layers": []}, "layers is a list of numbers"),
        ({"source": "/a", "layers": [0, -1]}, "layers is a list of numbers"),
    ],
)
def test_a_spec_that_is_wrong(spec: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused, match=said):
        read_spec(spec)


def test_layers_that_are_not_there_and_files_that_are_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = saved(tmp_path / "model")
    spec = json.dumps({"source": str(source), "layers": [3]})
    assert main(["--text", spec, "--out", str(tmp_path / "out")]) == 1
    assert "has 3 layers" in capsys.readouterr().err
    (source / "model.safetensors").rename(source / "gone")
    index = {"weight_map": {"a": "model-1.safetensors"}}
    (source / "model.safetensors.index.json").write_text(json.dumps(index))
    spec = json.dumps({"source": str(source)})
    assert main(["--text", spec, "--out", str(tmp_path / "out"), "--check"]) == 1
    assert "names model-1.safetensors, which is not there" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
