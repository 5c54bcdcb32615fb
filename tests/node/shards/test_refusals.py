"""Checkpoints that are no whole model: each is refused by what it lacks."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from trainyard_node.convert.__main__ import main
from transformers import AutoConfig, AutoModelForCausalLM

MODEL = {
    "architectures": ["Qwen2ForCausalLM"], "hidden_size": 24, "intermediate_size": 40,
    "num_hidden_layers": 3, "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 61,
    "max_position_embeddings": 64,
}  # fmt: skip
SHARD = "model_world_size_1_rank_0.pt"


class Code:
    """A pickle of it makes a folder when it is loaded without care."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self._folder,)


def qwen(**more: Any) -> Any:
    torch.manual_seed(2)
    config = AutoConfig.for_model("qwen2", **{**MODEL, **more})
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32)


def checkpoint_of(model: Any, folder: Path) -> Path:
    """What verl leaves of a model that one rank held whole."""
    model.config.save_pretrained(folder / "huggingface")
    torch.save(model.state_dict(), folder / SHARD)
    (folder / "fsdp_config.json").write_text('{"FSDP_version": 2, "world_size": 1}')
    return folder


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return checkpoint_of(qwen(), tmp_path / "run/global_step_3")


def convert(source: Path, target: Path, **spec: Any) -> int:
    return main(["--text", json.dumps({"source": str(source), **spec}), "--out", str(target)])


def change(saved: Path, what: Callable[[dict[str, Any]], object]) -> None:
    state = torch.load(saved / SHARD)
    what(state)
    torch.save(state, saved / SHARD)


def foreign(state: dict[str, Any]) -> None:
    for name in list(state):
        state[f"base_model.odd.{name}"] = state.pop(name)


def of_two(saved: Path) -> None:
    (saved / SHARD).rename(saved / "model_world_size_2_rank_0.pt")
    (saved / "fsdp_config.json").write_text('{"FSDP_version": 2, "world_size": 2}')


def wrapped(state: dict[str, Any]) -> None:
    for name in list(state):
        state[f"base_model.model.{name}"] = state.pop(name)


HARMS: list[tuple[Callable[[Path], object], str]] = [
    (lambda c: (c / SHARD).unlink(), "of 1 of 1 ranks is missing"),
    (of_two, "of 1 of 2 ranks is missing .rank 1."),
    (lambda c: os.truncate(c / SHARD, 9000), "is damaged"),
    (lambda c: change(c, lambda s: s.pop("model.norm.weight")), "does not hold 1 tensors"),
    (lambda c: change(c, foreign), "39 tensors whose names begin with base_model."),
    (
        lambda c: change(c, lambda s: s.update(odd=Code(c.parents[1] / "made"))),
        "holds more than tensors",
    ),
    (lambda c: change(c, lambda s: s.update(odd=3)), "odd of .* is a int, and no tensor"),
    (
        lambda c: change(c, lambda s: s["model.norm.weight"].fill_(float("inf"))),
        "model.norm.weight of .*global_step_3 holds NaN or infinite values",
    ),
]


@pytest.mark.parametrize(("harm", "said"), HARMS)
def test_a_checkpoint_that_is_refused(
    harm: Callable[[Path], object],
    said: str,
    saved: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    harm(saved)
    assert convert(saved, tmp_path / "out") == 1
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(capsys.readouterr().err.splitlines()[-1])
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_names_that_peft_wrapped_are_those_of_the_model(saved: Path, tmp_path: Path) -> None:
    change(saved, wrapped)
    assert convert(saved, tmp_path / "out") == 0
    found = load_file(tmp_path / "out/model.safetensors")
    for name, tensor in qwen().state_dict().items():
        assert torch.equal(found.pop(name), tensor)
    assert not found
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    made = loaded.generate(torch.tensor([[1, 2]]), max_new_tokens=3, min_new_tokens=3)
    assert made.shape == (1, 5)


def test_a_result_within_its_checkpoint(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for target in (saved / "out", saved):
        assert convert(saved, target) == 1
        assert "which is an input" in capsys.readouterr().err
    assert not (saved / "out").exists()


def test_an_adapter_is_folded_in_as_peft_does(tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    wanted = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(qwen(), wanted)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    folder = tmp_path / "global_step_1"
    shutil.copytree(checkpoint_of(model, tmp_path / "plain"), folder)
    assert convert(folder, tmp_path / "refused") == 1
    (folder / "lora_train_meta.json").write_text('{"r": 4, "lora_alpha": 8}')
    assert convert(folder, tmp_path / "out") == 0
    found = load_file(tmp_path / "out/model.safetensors")
    merged = model.merge_and_unload().state_dict()
    assert found.keys() == merged.keys()
    for name, tensor in merged.items():
        assert torch.allclose(found[name], tensor, atol=1e-6, rtol=0), name
