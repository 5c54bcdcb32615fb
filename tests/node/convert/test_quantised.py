"""Conversions to whole numbers, by compressed-tensors itself."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from convert_cases import generates, saved
from safetensors.torch import load_file
from trainyard_node.convert.__main__ import main
from trainyard_node.convert.quantised import Quantised
from trainyard_node.convert.spec import read_spec
from trainyard_node.export.refused import Refused
from transformers import AutoModelForCausalLM

WIDE = {"hidden_size": 128, "intermediate_size": 256}
Q = "model.layers.0.self_attn.q_proj.weight"


def quantised(tmp_path: Path, source: Path, scheme: str, *more: str, **spec: Any) -> int:
    text = json.dumps({"source": str(source), "quantize": scheme, **spec})
    return main(["--text", text, "--out", str(tmp_path / "out"), *more])


@pytest.mark.parametrize(("scheme", "most"), [("W8A16", 0.02), ("W4A16", 0.2)])
def test_it_generates_and_is_near_the_model(scheme: str, most: float, tmp_path: Path) -> None:
    source = saved(tmp_path / "model", **WIDE)
    assert quantised(tmp_path, source, scheme, layers=[2, 0]) == 0
    folder = tmp_path / "out"
    tensors = load_file(folder / "model.safetensors")
    assert tensors[f"{Q}_packed"].dtype == torch.int32
    assert tensors[f"{Q}_packed"].shape == (128, 128 * int(scheme[1]) // 32)
    assert tensors[f"{Q}_shape"].tolist() == [128, 128]
    before = load_file(source / "model.safetensors")
    assert torch.equal(tensors["model.embed_tokens.weight"], before["model.embed_tokens.weight"])
    assert tensors.keys() >= {"model.norm.weight", f"{Q}_scale"}
    made = generates(folder)
    plain = AutoModelForCausalLM.from_pretrained(source)
    plain.model.layers = torch.nn.ModuleList([plain.model.layers[2], plain.model.layers[0]])
    for number, layer in enumerate(plain.model.layers):
        layer.self_attn.layer_idx = number
    words = torch.tensor([[1, 2, 3, 4, 5, 6]])
    with torch.no_grad():
        wanted, found = (each(words, use_cache=False).logits.float() for each in (plain, made))
    assert 0 < float((found - wanted).norm() / wanted.norm()) < most
    assert (folder / "README.md").read_text().endswith(f": {scheme}\n")


def test_what_is_quantised_is_refused_as_an_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = saved(tmp_path / "model", **WIDE)
    assert quantised(tmp_path, source, "W8A16", "--check") == 0
    facts = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (facts["quantize"], facts["quantised"]) == ("W8A16", 3 * 7)
    assert not (tmp_path / "out").exists()
    assert quantised(tmp_path, source, "W8A16") == 0
    size = sum(each.stat().st_size for each in (tmp_path / "out").glob("*.safetensors"))
    assert 0 <= size - facts["bytes_out"] < 20_000  # the header
    spec = {"source": str(tmp_path / "out"), "dtype": "float32"}
    assert main(["--text", json.dumps(spec), "--out", str(tmp_path / "more")]) == 1
    assert "is quantised: take the model" in capsys.readouterr().err


def test_the_package_is_named_where_it_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = saved(tmp_path / "model")
    monkeypatch.setitem(sys.modules, "compressed_tensors", None)  # as if it were not installed
    for name in [each for each in sys.modules if each.startswith("compressed_tensors.")]:
        monkeypatch.delitem(sys.modules, name)
    for more in ((), ("--check",)):
        assert quantised(tmp_path, source, "W8A16", *more) == 1
        said = capsys.readouterr().err.splitlines()[-1]
        assert said.endswith(
            f"Install it there: {sys.executable} -m pip install compressed-tensors"
        )
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_rows_that_are_no_groups_and_experts(tmp_path: Path) -> None:
    def made(source: Path, scheme: str) -> Quantised:
        conversion = read_spec({"source": str(source), "quantize": scheme})
        return Quantised(conversion.plan(), conversion.quantize)

    narrow = saved(tmp_path / "narrow")
    with pytest.raises(Refused, match="has rows of 40 numbers, which are no groups of 128: W4A16"):
        made(narrow, "W4A16")
    experts: dict[str, Any] = {
        "architectures": ["Qwen3MoeForCausalLM"],
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 16,
    }
    with pytest.raises(Refused, match="is a mixture of experts, which is not quantised"):
        made(saved(tmp_path / "experts", model_type="qwen3_moe", head_dim=12, **experts), "W8A16")
    with pytest.raises(Refused, match="quantize is W8A16 or W4A16, not 'int8'"):
        read_spec({"source": str(narrow), "quantize": "int8"})
