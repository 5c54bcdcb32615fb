"""Adapters in a base model, beside what peft makes of them."""

import json
import shutil
import signal
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from lora_cases import (
    check_near,
    gpt2,
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
from trainyard_node.export.digest import digest_of
from trainyard_node.lora import merging
from trainyard_node.lora.adapter import WEIGHTS
from trainyard_node.merge.stored import Stored

MLP = ["gate_proj", "up_proj", "down_proj"]


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


@pytest.fixture(scope="module")
def turned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose weights are (in, out)."""
    folder: Path = save_base(tmp_path_factory.mktemp("models") / "turned", gpt2())
    return folder


@pytest.mark.parametrize(
    "config",
    [
        {"target_modules": ["q_proj", "v_proj"], "r": 4, "lora_alpha": 16},
        {"target_modules": MLP, "r": 4, "lora_alpha": 6, "use_rslora": True},
        {
            "target_modules": ["q_proj", *MLP],
            "r": 4,
            "lora_alpha": 8,
            "rank_pattern": {"layers.1.self_attn.q_proj": 2, "down_proj": 7},
            "alpha_pattern": {"layers.0.mlp.up_proj": 3},
        },
        {"target_modules": ["q_proj"], "r": 4, "use_dora": True},
        {"target_modules": ["q_proj"], "r": 4, "modules_to_save": ["lm_head", "norm"]},
        {"target_modules": ["embed_tokens", "q_proj"], "r": 4},
        {"target_modules": ["lm_head", "o_proj"], "r": 4},
        {"target_modules": ["q_proj"], "r": 4, "bias": "all"},
        {"target_modules": ["q_proj"], "r": 4, "bias": "lora_only"},
        {"target_modules": "all-linear", "r": 3, "lora_alpha": 5},
    ],
    ids=lambda config: ", ".join(f"{key} {value}" for key, value in config.items())[:60],
)
def test_as_peft_merges(
    base: Path, tmp_path: Path, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merging, "CHUNK", 100)  # several chunks of each matrix
    adapter = save_adapter(base, tmp_path / "adapter", **config)
    out = merged_by_us(base, tmp_path / "out", (adapter, 1.0))
    found, before = tensors_of(out), tensors_of(base)
    check_near(found, merged_by_peft(base, adapter))
    assert found.keys() == before.keys()
    assert any(not torch.equal(found[name], before[name]) for name in found)


def test_weights_of_the_other_side(turned: Path, tmp_path: Path) -> None:
    config = {"target_modules": ["c_attn", "c_fc"], "r": 4, "fan_in_fan_out": True}
    adapter = save_adapter(turned, tmp_path / "adapter", **config)
    out = merged_by_us(turned, tmp_path / "out", (adapter, 1.0))
    check_near(tensors_of(out), merged_by_peft(turned, adapter))


def test_a_tied_model(tied: Path, tmp_path: Path) -> None:
    adapter = save_adapter(tied, tmp_path / "adapter", target_modules=["q_proj"], r=4)
    out = merged_by_us(tied, tmp_path / "out", (adapter, 1.0))
    assert "lm_head.weight" not in tensors_of(out)
    check_near(tensors_of(out), merged_by_peft(tied, adapter))
    assert json.loads((out / "config.json").read_text())["tie_word_embeddings"] is True


@pytest.mark.parametrize("target", ["embed_tokens", "lm_head"])
def test_one_of_two_tied_is_changed(tied: Path, tmp_path: Path, target: str) -> None:
    """The two are no longer one: the merged model says what the model with its adapter says."""
    adapter = save_adapter(tied, tmp_path / "adapter", target_modules=[target, "q_proj"], r=4)
    out = merged_by_us(tied, tmp_path / "out", (adapter, 1.0))
    tokens = torch.arange(10).reshape(1, 10)
    with torch.no_grad():
        expected = peft.PeftModel.from_pretrained(loaded(tied), adapter)(tokens).logits
        found = loaded(out)(tokens).logits
    assert (found - expected).abs().max() < 1e-5
    assert json.loads((out / "config.json").read_text())["tie_word_embeddings"] is False


def test_several_adapters_with_weights(base: Path, tmp_path: Path) -> None:
    one = save_adapter(base, tmp_path / "one", 1, target_modules=["q_proj"], r=4)
    other = save_adapter(base, tmp_path / "other", 2, target_modules=["q_proj", "up_proj"], r=2)
    out = merged_by_us(base, tmp_path / "out", (one, 0.5), (other, -0.25))
    start, first, second = tensors_of(base), merged_by_peft(base, one), merged_by_peft(base, other)
    expected = {
        name: each + 0.5 * (first[name] - each) - 0.25 * (second[name] - each)
        for name, each in start.items()
    }
    check_near(tensors_of(out), expected)


def test_what_an_export_with_its_adapter_kept_leaves(base: Path, tmp_path: Path) -> None:
    adapter = save_adapter(base, tmp_path / "adapter", target_modules=["q_proj"], r=4)
    exported = tmp_path / "exported"
    shutil.copytree(base, exported)
    shutil.copytree(adapter, exported / "lora_adapter")
    out = merged_by_us(exported, tmp_path / "out", (exported, 1.0))
    check_near(tensors_of(out), merged_by_peft(base, adapter))
    assert not (out / "lora_adapter").exists()


def test_a_rounding_once(base: Path, tmp_path: Path) -> None:
    adapter = save_adapter(base, tmp_path / "adapter", target_modules=["q_proj"], r=4)
    whole = tensors_of(merged_by_us(base, tmp_path / "whole", (adapter, 1.0)))
    half = merged_by_us(base, tmp_path / "half", (adapter, 1.0), dtype="bfloat16")
    assert all(torch.equal(each, whole[name].bfloat16()) for name, each in tensors_of(half).items())
    assert json.loads((half / "config.json").read_text())["dtype"] == "bfloat16"
    again = merged_by_us(base, tmp_path / "again", (adapter, 1.0), dtype="bfloat16")
    assert digest_of(half) == digest_of(again)


def broken(adapter: Path, folder: Path, **config: Any) -> Path:
    shutil.copytree(adapter, folder)
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    return folder


def test_refusals(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    adapter = save_adapter(base, tmp_path / "adapter", target_modules=["q_proj"], r=4)
    dora = save_adapter(base, tmp_path / "dora", target_modules=["q_proj"], r=4, use_dora=True)
    poisoned = broken(adapter, tmp_path / "poisoned")
    tensors = load_file(poisoned / "adapter_model.safetensors")
    save_file(
        {name: each * float("nan") for name, each in tensors.items()},
        poisoned / "adapter_model.safetensors",
    )
    single = broken(adapter, tmp_path / "single")
    save_file(
        {name: each for name, each in tensors.items() if "lora_A" in name},
        single / "adapter_model.safetensors",
    )
    cut = broken(adapter, tmp_path / "cut")
    (cut / "adapter_model.safetensors").write_bytes(b"\x00" * 20)
    elsewhere = broken(adapter, tmp_path / "elsewhere")
    save_file(
        {name.replace("q_proj", "x_proj"): each for name, each in tensors.items()},
        elsewhere / "adapter_model.safetensors",
    )
    cases: list[tuple[list[tuple[Path, float]], str]] = [
        ([(tmp_path / "no", 1.0)], "is no adapter"),
        ([(broken(adapter, tmp_path / "ia3", peft_type="IA3"), 1.0)], "is no LoRA adapter"),
        ([(broken(adapter, tmp_path / "bias", lora_bias=True), 1.0)], "trained with lora_bias"),
        (
            [(broken(adapter, tmp_path / "pissa", init_lora_weights="pissa"), 1.0)],
            "began with 'pissa'",
        ),
        ([(broken(adapter, tmp_path / "alpha", lora_alpha=0), 1.0)], "says rank 4 and alpha 0"),
        ([(broken(adapter, tmp_path / "rank", r=8), 1.0)], "whose matrices have rank 4"),
        ([(poisoned, 1.0)], "holds NaN or infinite values"),
        ([(single, 1.0)], "tensors without a pair"),
        ([(cut, 1.0)], "it may be cut off"),
        ([(elsewhere, 1.0)], "has no model.layers.0.self_attn.x_proj.weight"),
        ([(dora, 0.5)], "is merged with weight 1 only"),
        ([(dora, 1.0), (adapter, 1.0)], "A DoRA adapter is merged alone"),
        ([(adapter, 1.0), (adapter, 0.5)], "adapter twice: give it once"),
        ([(adapter, 10**400)], "The weight of an adapter is a number"),
        ([(broken(adapter, tmp_path / "list", rank_pattern=[4]), 1.0)], "a mapping of modules"),
        ([(broken(adapter, tmp_path / "pattern", rank_pattern={"(": 4}), 1.0)], "is no pattern"),
        ([], "adapters is a list with at least one adapter"),
        ([(adapter, True)], "The weight of an adapter is a number"),
    ]
    before = sorted(path.name for path in tmp_path.iterdir())
    for adapters, reason in cases:
        listed = [{"path": path, "weight": weight} for path, weight in adapters]
        assert run("merge", {"base": base, "adapters": listed}, tmp_path / "out") == 1
        assert reason in capsys.readouterr().err.splitlines()[-1]
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_check_makes_nothing(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    adapter = save_adapter(base, tmp_path / "adapter", target_modules=["q_proj"], r=4)
    spec = {"base": base, "adapters": [{"path": adapter}]}
    capsys.readouterr()
    assert run("merge", spec, tmp_path / "out", "--check") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["changed"], facts["unties"]) == (2, False)
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    assert run("merge", spec, tmp_path / "out", "--check") == 1
    assert "is there already" in capsys.readouterr().err


def test_files_beside_the_weights_are_taken_over(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", qwen())
    adapter = save_adapter(base, tmp_path / "adapter", target_modules=["q_proj"], r=4)
    (base / "modeling_own.py").write_text("code = 1")
    out = merged_by_us(base, tmp_path / "out", (adapter, 1.0))
    assert (out / "modeling_own.py").read_text() == "code = 1"
    assert (out / "generation_config.json").is_file()
    (base / "vocab.json").symlink_to(tmp_path / "adapter/adapter_config.json")
    spec = {"base": base, "adapters": [{"path": adapter}]}
    assert run("merge", spec, tmp_path / "again") == 1
    assert not (tmp_path / "again").exists()


def test_it_is_told_in_the_run_directory(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = save_adapter(base, tmp_path / "adapter", target_modules=["q_proj"], r=4)
    monkeypatch.setenv("TRAINYARD_RUN_DIR", str(tmp_path / "run"))
    (tmp_path / "run").mkdir()
    out = merged_by_us(base, tmp_path / "out", (adapter, 1.0))
    events = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").open()]
    assert [each["kind"] for each in events] == ["planned", "made"]
    assert events[-1]["path"] == str(out)
    assert events[-1]["digest"] == digest_of(out)
    assert events[-1]["changed"] == 2
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").open()]
    assert lines[-1]["data"].keys() == {"lora/read_mib", "lora/written_mib"}
    assert lines[-1]["step"] == events[0]["steps"]
    own = sha256((adapter / WEIGHTS).read_bytes()).hexdigest()
    inputs = {str(base): Stored(base).digest(), str(adapter): own}
    assert events[-1]["inputs"] == inputs
    assert all(f"`{each}`" in (out / "README.md").read_text() for each in inputs.values())
