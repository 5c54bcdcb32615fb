"""The digests of the inputs: right whatever way the rows were read, and in card and event."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from conftest import read_lines
from merge_cases import layered, save_model
from torch import Tensor
from trainyard_node.average.__main__ import main as average
from trainyard_node.convert.__main__ import main as convert
from trainyard_node.merge import inputs, merging
from trainyard_node.merge.merging import Plan, Progress, merge, plan
from trainyard_node.merge.recipe import read_recipe
from trainyard_node.merge.stored import Stored
from trainyard_node.record import RUN_DIR


def expected(tensors: Mapping[str, Tensor]) -> str:
    lines = ""
    for name in sorted(tensors):
        each = tensors[name]
        own = hashlib.sha256(each.contiguous().view(torch.uint8).numpy().tobytes()).hexdigest()
        lines += f"{name} {str(each.dtype)[6:]} {list(each.shape)} {own}\n"
    return hashlib.sha256(lines.encode()).hexdigest()


@pytest.fixture
def models(tmp_path: Path) -> list[Path]:
    return [
        save_model(tmp_path / name, layered(seed), num_hidden_layers=3)
        for seed, name in enumerate(("base", "one", "two"))
    ]


def ties(models: list[Path]) -> Plan:
    base, *others = models
    listed = "".join(f"  - {{model: {each}, parameters: {{weight: 0.5}}}}\n" for each in others)
    head = f"merge_method: ties\nbase_model: {base}\nparameters: {{density: 0.5}}\n"
    return plan(read_recipe(f"{head}models:\n{listed}"))


def test_digests_are_taken_from_the_rows_that_are_read(
    models: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In chunks of two rows and in two passes, after a sample: nothing is read for them alone."""
    monkeypatch.setattr(inputs, "CHUNK", 12)
    monkeypatch.setattr(inputs, "SAMPLED", 2)
    made = ties(models)
    merge(made, tmp_path / "out")
    card = (tmp_path / "out/README.md").read_text()
    for seed, stored in enumerate(made.models[str(folder)] for folder in models):
        read = stored.bytes_read
        assert stored.digest() == expected(layered(seed))
        assert stored.bytes_read == read
        assert f"SHA-256 `{expected(layered(seed))}`" in card


def test_an_interrupted_merge_has_the_same_digests(
    models: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merging, "SAFE_EVERY", 200)
    monkeypatch.setattr(merging, "TOLD_EVERY", 0)
    merge(ties(models), tmp_path / "whole")

    def cut(progress: Progress) -> None:
        if progress.tensors > 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        merge(ties(models), tmp_path / "out", Progress(tell=cut))
    merge(ties(models), tmp_path / "out")
    cards = [(tmp_path / name / "README.md").read_text() for name in ("whole", "out")]
    assert cards[0] == cards[1]


def test_a_digest_is_of_the_tensors_and_not_of_the_files(tmp_path: Path) -> None:
    whole = save_model(tmp_path / "whole", layered(1))
    spec = json.dumps({"source": str(whole), "shard_bytes": 500})
    assert convert(["--text", spec, "--out", str(tmp_path / "cut")]) == 0
    assert len(list((tmp_path / "cut").glob("*.safetensors"))) > 2
    assert Stored(tmp_path / "cut").digest() == Stored(whole).digest() == expected(layered(1))


def test_the_events_of_all_kinds_have_them(
    models: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(folder: Path) -> dict[str, str]:
        made: dict[str, str] = read_lines(folder / "events.jsonl")[-1]["inputs"]
        return made

    def begun(name: str) -> Path:
        (tmp_path / name).mkdir()
        monkeypatch.setenv(RUN_DIR, str(tmp_path / name))
        return tmp_path / name

    run = begun("average")
    listed = [{"path": str(path), "step": step} for step, path in enumerate(models)]
    spec = json.dumps({"method": "uniform", "checkpoints": listed})
    assert average(["--text", spec, "--out", str(tmp_path / "out1")]) == 0
    assert told(run) == {str(path): expected(layered(seed)) for seed, path in enumerate(models)}
    run = begun("convert")  # with rows of the vocabulary that the result has not
    spec = json.dumps({"source": str(models[0]), "layers": [2], "vocab": 9})
    base = json.loads((models[0] / "config.json").read_text())
    (models[0] / "config.json").write_text(json.dumps({**base, "vocab_size": 11}))
    assert convert(["--text", spec, "--out", str(tmp_path / "out2")]) == 0
    assert told(run) == {str(models[0]): expected(layered(0))}
