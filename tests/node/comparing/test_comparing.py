"""Two models compared, with figures that are worked out by hand."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from trainyard_node.comparing import comparing
from trainyard_node.comparing.__main__ import main
from trainyard_node.comparing.figures import sums_of
from trainyard_node.comparing.places import place_of

Q, UP = "model.layers.0.self_attn.q_proj.weight", "model.layers.1.mlp.up_proj.weight"
NORM, EMBED, HEAD = "model.norm.weight", "model.embed_tokens.weight", "lm_head.weight"


@pytest.fixture(autouse=True)
def own_signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def save(folder: Path, tensors: dict[str, Tensor], **config: Any) -> Path:
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def compared(one: Path, other: Path, out: Path) -> dict[str, Any]:
    assert main(["--text", json.dumps({"models": [str(one), str(other)]}), "--out", str(out)]) == 0
    found: dict[str, Any] = json.loads((out / "comparison.json").read_text())
    return found


def test_a_model_may_be_named_like_a_checkpoint(tmp_path: Path) -> None:
    one = save(tmp_path / "global_step_5", plain(), hidden_size=3)
    found = compared(one, save(tmp_path / "two", plain(), hidden_size=3), tmp_path / "out")
    assert found["whole"]["cosine"] == 1.0


def test_a_check_opens_both_and_makes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = save(tmp_path / "one", plain(), hidden_size=3)
    other = save(tmp_path / "two", {"odd": torch.ones(2)}, hidden_size=3)
    before = set(tmp_path.iterdir())

    def checked(*models: Path) -> int:
        text = json.dumps({"models": [str(each) for each in models]})
        return main(["--text", text, "--out", str(tmp_path / "out"), "--check"])

    assert checked(one, save(tmp_path / "three", plain(), hidden_size=3)) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said == {"tensors": 4, "bytes_in": 2 * 4 * (12 + 4 + 4 + 3)}
    assert checked(one, other) == 1
    assert "have no tensor of one name and shape" in capsys.readouterr().err
    assert checked(one, tmp_path / "none") == 1
    assert set(tmp_path.iterdir()) == before | {tmp_path / "three"}


def test_experts_that_lie_in_one_tensor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "CHUNK", 8)
    name = "model.layers.0.mlp.experts.gate_up_proj"
    experts, other = torch.ones(3, 4, 5), torch.ones(3, 4, 5)
    other[2, 3, 4] = 4.0
    one = save(tmp_path / "one", {name: experts})
    found = compared(one, save(tmp_path / "two", {name: other}), tmp_path / "out")
    assert found["cells"][0]["module"] == "experts.gate_up_proj"
    assert (found["whole"]["distance"], found["whole"]["changed"]) == (3.0, 1 / 60)


def plain() -> dict[str, Tensor]:
    return {
        EMBED: torch.arange(12.0).reshape(4, 3),
        Q: torch.tensor([[3.0, 0.0], [0.0, 4.0]]),
        UP: torch.ones(2, 2),
        NORM: torch.ones(3),
    }


def test_figures_of_a_pair() -> None:
    figures = sums_of(torch.tensor([3.0, 0.0, 4.0]), torch.tensor([3.0, 5.0, 4.0])).figures()
    assert figures == {
        "distance": 5.0,
        "relative": 1.0,
        "cosine": pytest.approx(0.5**0.5),
        "norm_ratio": pytest.approx(2**0.5),
        "max_abs": 5.0,
        "changed": pytest.approx(1 / 3),
        "elements": 3,
    }


def test_of_nothing_a_figure_has_no_value() -> None:
    zeros, ones = torch.zeros(2), torch.ones(2)
    assert sums_of(zeros, zeros).figures()["cosine"] == 1.0
    figures = sums_of(zeros, ones).figures()
    assert [figures[key] for key in ("relative", "cosine", "norm_ratio")] == [None, None, None]


@pytest.mark.parametrize(
    ("name", "layer", "module"),
    [
        (Q, 0, "q_proj"),
        ("model.layers.7.self_attn.q_proj.bias", 7, "q_proj"),
        ("model.layers.3.input_layernorm.weight", 3, "norms"),
        ("model.layers.3.self_attn.q_norm.weight", 3, "norms"),
        (NORM, None, "norms"),
        (EMBED, None, "embed"),
        (HEAD, None, "lm_head"),
        ("model.layers.2.mlp.experts.17.gate_proj.weight", 2, "experts.gate_proj"),
        ("model.layers.2.mlp.experts.gate_up_proj", 2, "experts.gate_up_proj"),
        ("model.layers.2.mlp.shared_expert.up_proj.weight", 2, "shared_expert.up_proj"),
        ("model.layers.2.mlp.gate.weight", 2, "gate"),
        ("transformer.h.4.attn.c_attn.weight", 4, "c_attn"),
        ("transformer.wte.weight", None, "embed"),
        ("transformer.h.4.ln_1.bias", 4, "norms"),
    ],
)
def test_places(name: str, layer: int | None, module: str) -> None:
    assert place_of(name) == (layer, module)


def test_identical_models(tmp_path: Path) -> None:
    one, other = save(tmp_path / "a", plain()), save(tmp_path / "b", plain())
    found = compared(one, other, tmp_path / "out")
    whole = {key: found["whole"][key] for key in ("distance", "relative", "cosine", "norm_ratio")}
    assert whole == {"distance": 0.0, "relative": 0.0, "cosine": 1.0, "norm_ratio": 1.0}
    assert found["whole"]["tensors"] == 4
    assert {cell["cosine"] for cell in found["cells"]} == {1.0}


def test_the_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "CHUNK", 2)  # each row is a chunk of its own
    changed = plain()
    changed[Q] = torch.tensor([[3.0, 0.0], [0.0, 0.0]])
    one, other = save(tmp_path / "a", plain()), save(tmp_path / "b", changed)
    found = compared(one, other, tmp_path / "out")
    assert found["layers"] == [0, 1, None]
    assert found["modules"] == ["q_proj", "up_proj", "embed", "norms"]
    first = found["cells"][0]
    assert (first["layer"], first["module"], first["tensors"]) == (0, "q_proj", 1)
    assert first["distance"] == 4.0
    assert first["relative"] == pytest.approx(0.8)
    assert first["cosine"] == pytest.approx(0.6)
    assert first["norm_ratio"] == pytest.approx(0.6)
    assert found["tensors"][0]["name"] == Q
    assert found["tensors"][0]["changed"] == 0.25
    assert found["whole"]["distance"] == 4.0


def test_only_the_most_changed_tensors_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "MOST_TENSORS", 1)
    changed = {**plain(), UP: torch.zeros(2, 2)}
    one, other = save(tmp_path / "a", plain()), save(tmp_path / "b", changed)
    found = compared(one, other, tmp_path / "out")
    assert [each["name"] for each in found["tensors"]] == [UP]
    assert found["tensors_left_out"] == 3
    assert len(found["cells"]) == 4


def test_what_cannot_be_compared_is_named(tmp_path: Path) -> None:
    other = plain()
    other["more.weight"], other[UP] = torch.ones(1), torch.ones(3, 2)
    other[EMBED] = torch.cat([other[EMBED], torch.ones(2, 3)])
    other[NORM] = torch.tensor([1.0, float("nan"), 1.0])
    found = compared(save(tmp_path / "a", plain()), save(tmp_path / "b", other), tmp_path / "out")
    assert found["only_in"] == [
        {"count": 0, "first": []},
        {"count": 1, "first": ["more.weight"]},
    ]
    assert found["shapes_differ"]["first"] == [{"name": UP, "shapes": [[2, 2], [3, 2]]}]
    assert found["part_compared"]["first"] == [
        {"name": EMBED, "note": "4 and 6 rows: the first 4 are compared"}
    ]
    assert found["not_finite"]["first"] == [{"name": NORM, "models": [str(tmp_path / "b")]}]
    assert found["whole"]["tensors"] == 2
    assert found["whole"]["distance"] == 0.0


def test_a_tied_head_is_compared_with_the_embeddings(tmp_path: Path) -> None:
    tied = save(tmp_path / "a", plain(), tie_word_embeddings=True)
    other = save(tmp_path / "b", {**plain(), HEAD: plain()[EMBED] * 2})
    found = compared(tied, other, tmp_path / "out")
    cell = next(cell for cell in found["cells"] if cell["module"] == "lm_head")
    assert (cell["norm_ratio"], cell["relative"]) == (2.0, 1.0)
    assert found["part_compared"]["first"][0]["name"] == HEAD


def test_refusals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = save(tmp_path / "a", plain())
    other = save(tmp_path / "b", {"else.weight": torch.ones(1)})
    (tmp_path / "global_step_5").mkdir()
    cases = [
        ({"models": [str(one)]}, "models is a list of two paths."),
        ({"model": []}, "The spec has no model. It has: models."),
        ({"models": [str(one), str(tmp_path / "no")]}, "There is no model at"),
        ({"models": [str(one), str(tmp_path / "global_step_5")]}, "no model in the checkpoint"),
        ({"models": [str(one), str(other)]}, "have no tensor of one name and shape"),
    ]
    for spec, reason in cases:
        assert main(["--text", json.dumps(spec), "--out", str(tmp_path / "out")]) == 1
        assert reason in capsys.readouterr().err.splitlines()[-1]
    spec = {"models": [str(one), str(one)]}
    assert main(["--text", json.dumps(spec), "--out", str(one / "in")]) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "global_step_5"]
