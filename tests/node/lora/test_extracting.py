"""An adapter out of the difference of two models."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from lora_cases import (
    check_near,
    loaded,
    merged_by_peft,
    merged_by_us,
    qwen,
    run,
    save_adapter,
    save_base,
    tensors_of,
)
from safetensors.torch import load_file, save_file
from torch import Tensor
from trainyard_node.lora.low_rank import low_rank


@pytest.fixture(autouse=True)
def own_signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = save_base(tmp_path_factory.mktemp("models") / "base", qwen())
    return folder


@pytest.fixture(scope="module")
def tied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = save_base(tmp_path_factory.mktemp("models") / "tied", qwen(tied=True))
    return folder


def extracted(base: Path, tuned: Path, out: Path, **wanted: Any) -> dict[str, Any]:
    assert run("extract", {"base": base, "tuned": tuned, **wanted}, out) == 0
    found: dict[str, Any] = json.loads((out / "extraction.json").read_text())
    return found


def save_tuned(base: Path, folder: Path, **changes: float) -> Path:
    """The base with noise in the tensors whose names have one of the words."""
    torch.manual_seed(5)
    model = loaded(base)
    with torch.no_grad():
        for name, each in model.named_parameters():
            for word, size in changes.items():
                if word in name:
                    each.add_(torch.randn(each.shape) * size)
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("shape", [(30, 12), (12, 30), (1, 9), (9, 1), (16, 16)])
def test_beside_a_singular_value_decomposition(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    apart = torch.randn(shape)
    u, s, v = torch.linalg.svd(apart.double(), full_matrices=False)
    rank = min(3, len(s))
    found = low_rank(apart, rank, None)
    best = (u[:, :rank] * s[:rank]) @ v[:rank]
    assert ((found.up @ found.down) - best).abs().max() < 1e-5
    missing = float(torch.sqrt((s[rank:] ** 2).sum() / (s**2).sum()))
    assert found.error == pytest.approx(missing, abs=1e-6)
    assert found.distance == pytest.approx(float(torch.linalg.vector_norm(s)), rel=1e-6)
    assert low_rank(apart, len(s), None).error < 1e-6


def test_the_least_rank_with_a_share() -> None:
    apart = torch.diag(torch.tensor([3.0, 2.0, 1.0, 0.0]))  # squares 9, 4, 1 of 14
    ranks = {share: low_rank(apart, None, share).rank for share in (0.5, 0.9, 0.95, 1.0)}
    assert ranks == {0.5: 1, 0.9: 2, 0.95: 3, 1.0: 3}
    assert low_rank(apart, 1, None).error == pytest.approx((5 / 14) ** 0.5)


def test_full_rank_gives_the_tuned_model(base: Path, tmp_path: Path) -> None:
    tuned = save_tuned(base, tmp_path / "tuned", proj=0.2)
    (base_bias,) = {name for name in tensors_of(base) if name.endswith("0.self_attn.q_proj.bias")}
    found = extracted(base, tuned, tmp_path / "adapter", rank=64)
    assert found["error"] < 1e-6
    assert base_bias in found["left_out"]  # a bias is no part of a LoRA
    made, expected = merged_by_peft(base, tmp_path / "adapter"), tensors_of(tuned)
    names = [name for name in expected if name not in found["left_out"]]
    check_near({name: made[name] for name in names}, expected, 1e-5)
    out = merged_by_us(base, tmp_path / "out", (tmp_path / "adapter", 1.0))
    check_near({name: tensors_of(out)[name] for name in names}, expected, 1e-5)


def test_an_adapter_is_found_again(base: Path, tmp_path: Path) -> None:
    adapter = save_adapter(base, tmp_path / "one", target_modules=["q_proj", "up_proj"], r=3)
    tuned = merged_by_us(base, tmp_path / "tuned", (adapter, 1.0))
    found = extracted(base, tuned, tmp_path / "adapter", rank=3)
    assert found["left_out"] == found["kept"] == []
    assert {each["rank"] for each in found["modules"]} == {3}
    assert found["error"] < 1e-5
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert config["target_modules"] == ["q_proj", "up_proj"]
    assert (config["r"], config["lora_alpha"], config["rank_pattern"]) == (3, 3, {})
    check_near(merged_by_peft(base, tmp_path / "adapter"), merged_by_peft(base, adapter), 1e-5)


def test_a_rank_of_each_module_by_energy(base: Path, tmp_path: Path) -> None:
    tuned = save_tuned(base, tmp_path / "tuned", up_proj=0.2, q_proj=0.3)
    found = extracted(base, tuned, tmp_path / "adapter", energy=0.8)
    for each in found["modules"]:
        assert each["error"] ** 2 <= 0.2 + 1e-6
        assert 1 <= each["rank"] < 16
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    ranks = {each["module"]: each["rank"] for each in found["modules"]}
    assert config["rank_pattern"] == {
        name: rank for name, rank in ranks.items() if rank != config["r"]
    }
    assert config["rank_pattern"]
    ours = tensors_of(merged_by_us(base, tmp_path / "out", (tmp_path / "adapter", 1.0)))
    check_near(ours, merged_by_peft(base, tmp_path / "adapter"))


def test_one_layer_alone_is_named_whole(base: Path, tmp_path: Path) -> None:
    tensors = tensors_of(base)
    name = "model.layers.1.self_attn.o_proj"
    tensors[f"{name}.weight"] = tensors[f"{name}.weight"] + 0.1
    tuned = written(base, tmp_path / "tuned", tensors)
    extracted(base, tuned, tmp_path / "adapter", rank=1)
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert config["target_modules"] == [name]
    check_near(merged_by_peft(base, tmp_path / "adapter"), tensors)


def test_the_rest_is_kept_if_asked(base: Path, tmp_path: Path) -> None:
    tensors = tensors_of(base)
    changed = ["model.layers.1.input_layernorm.weight", "model.embed_tokens.weight",
               "lm_head.weight", "model.layers.0.self_attn.q_proj.weight",
               "model.layers.0.self_attn.q_proj.bias"]  # fmt: skip
    for name in changed:
        tensors[name] = tensors[name] + torch.randn(tensors[name].shape)
    tuned = written(base, tmp_path / "tuned", tensors)
    found = extracted(base, tuned, tmp_path / "plain", rank=16)
    assert sorted(found["left_out"]) == sorted(
        name for name in changed if name != "model.layers.0.self_attn.q_proj.weight"
    )
    found = extracted(base, tuned, tmp_path / "adapter", rank=16, keep=True)
    assert sorted(found["kept"]) == sorted(changed[:3])
    assert found["left_out"] == changed[4:]
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert config["modules_to_save"] == ["embed_tokens", "input_layernorm", "lm_head"]
    expected = {**tensors, changed[4]: tensors_of(base)[changed[4]]}
    check_near(merged_by_peft(base, tmp_path / "adapter"), expected, 1e-5)
    out = merged_by_us(base, tmp_path / "out", (tmp_path / "adapter", 1.0))
    check_near(tensors_of(out), expected, 1e-5)


def test_an_adapter_loads_and_answers(tied: Path, tmp_path: Path) -> None:
    tuned = save_tuned(tied, tmp_path / "tuned", mlp=0.1)
    extracted(tied, tuned, tmp_path / "adapter", rank=16)
    model = peft.PeftModel.from_pretrained(loaded(tied), tmp_path / "adapter")
    tokens = torch.arange(10).reshape(1, 10)
    with torch.no_grad():
        assert (model(tokens).logits - loaded(tuned)(tokens).logits).abs().max() < 1e-5


def test_refusals(
    base: Path, tied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tensors = tensors_of(base)
    name = "model.layers.0.mlp.up_proj.weight"
    poisoned = written(base, tmp_path / "nan", {**tensors, name: tensors[name] * float("nan")})
    other = written(base, tmp_path / "shape", {**tensors, name: tensors[name][1:].clone()})
    norm = "model.norm.weight"
    normed = written(base, tmp_path / "normed", {**tensors, norm: tensors[norm] + 1})
    cases: list[tuple[Path, dict[str, Any], str]] = [
        (base, {"rank": 4}, "do not differ in what a LoRA can have."),
        (normed, {"rank": 4}, "model.norm.weight cannot be in a LoRA"),
        (tied, {"rank": 4}, "has lm_head.weight, which"),
        (poisoned, {"rank": 4}, f"{name} of {poisoned} holds NaN"),
        (other, {"rank": 4}, f"{name} is [24, 16] in"),
        (other, {}, "Give a rank or an energy, and not both."),
        (other, {"rank": 0}, "rank is a whole number of 1 or more"),
        (other, {"energy": 1.5}, "energy is a number above 0 and up to 1"),
    ]
    for tuned, wanted, reason in cases:
        assert run("extract", {"base": base, "tuned": tuned, **wanted}, tmp_path / "out") == 1
        assert reason in capsys.readouterr().err.splitlines()[-1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["nan", "normed", "shape"]


def written(base: Path, folder: Path, tensors: dict[str, Tensor]) -> Path:
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text((base / "config.json").read_text())
    assert load_file(folder / "model.safetensors").keys() == tensors.keys()
    return folder


def test_experts_in_one_tensor_are_named_as_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """peft has adapters of matrices; those of experts in one tensor it has by another key."""
    name = "model.layers.0.mlp.experts.gate_up_proj"
    plain = {name: torch.ones(3, 4, 5), "model.layers.0.mlp.gate.weight": torch.ones(3, 5)}
    for folder, more in (("base", 0.0), ("tuned", 1.0)):
        (tmp_path / folder).mkdir()
        save_file({key: each + more for key, each in plain.items()},
                  tmp_path / folder / "model.safetensors")  # fmt: skip
        (tmp_path / folder / "config.json").write_text("{}")
    found = extracted(tmp_path / "base", tmp_path / "tuned", tmp_path / "out", rank=1)
    assert found["left_out"] == [name]
    assert f"left out, since it is no part of a LoRA: {name}" in capsys.readouterr().out
    path = tmp_path / "out/adapter_model.safetensors"
    matrices = load_file(path)
    odd = {key.replace("mlp.gate", "mlp.experts.gate_up_proj"): each
           for key, each in matrices.items()}  # fmt: skip
    save_file(odd, path)
    spec = {"base": tmp_path / "base", "adapters": [{"path": tmp_path / "out"}]}
    assert run("merge", spec, tmp_path / "merged") == 1
    assert f"has no {name}.weight, which the adapter changes" in capsys.readouterr().err
