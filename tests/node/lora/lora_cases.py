"""What the tests of adapters share: a very small Qwen2, adapters by peft, and the programs."""

import json
from pathlib import Path
from typing import Any

import peft
import torch
from safetensors.torch import load_file
from torch import Tensor
from trainyard_node.lora.__main__ import main
from transformers import AutoModelForCausalLM, GPT2Config, PretrainedConfig, Qwen2Config


def qwen(tied: bool = False) -> Qwen2Config:
    return Qwen2Config(
        vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=tied,
    )  # fmt: skip


def gpt2() -> GPT2Config:
    return GPT2Config(vocab_size=40, n_positions=32, n_embd=16, n_layer=2, n_head=2)


def save_base(folder: Path, config: PretrainedConfig, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for each in model.parameters():  # no bias or norm as it begins: each counts
            each.copy_(torch.randn(each.shape) * 0.1)
    model.save_pretrained(folder)
    return folder


def loaded(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def save_adapter(base: Path, folder: Path, seed: int = 1, **config: Any) -> Path:
    """An adapter whose every tensor is random, so that each changes something."""
    model = peft.get_peft_model(loaded(base), peft.LoraConfig(task_type="CAUSAL_LM", **config))
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, each in model.named_parameters():
            if each.requires_grad:
                spread = torch.rand if "magnitude" in name else torch.randn
                each.copy_(spread(each.shape) * 0.3 + (0.5 if "magnitude" in name else 0.0))
    model.save_pretrained(folder)
    return folder


def merged_by_peft(base: Path, adapter: Path) -> dict[str, Tensor]:
    model = peft.PeftModel.from_pretrained(loaded(base), adapter)
    return dict(model.merge_and_unload().state_dict())


def run(command: str, spec: dict[str, Any], out: Path, *more: str) -> int:
    return main([command, "--text", json.dumps(spec, default=str), "--out", str(out), *more])


def merged_by_us(base: Path, out: Path, *adapters: tuple[Path, float], **more: Any) -> Path:
    listed = [{"path": path, "weight": weight} for path, weight in adapters]
    assert run("merge", {"base": base, "adapters": listed, **more}, out) == 0
    return out


def tensors_of(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "model.safetensors")


def check_near(found: dict[str, Tensor], expected: dict[str, Tensor], most: float = 1e-6) -> None:
    for name, tensor in found.items():
        assert (tensor - expected[name]).abs().max() <= most, name
