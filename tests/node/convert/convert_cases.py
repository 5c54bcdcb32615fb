"""What the tests of conversions share: a small model, and whether a folder is one."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

MODEL = {
    "architectures": ["Qwen2ForCausalLM"], "hidden_size": 24, "intermediate_size": 40,
    "num_hidden_layers": 3, "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 61,
    "max_position_embeddings": 64,
}  # fmt: skip


def saved(folder: Path, **more: Any) -> Path:
    torch.manual_seed(2)
    kind = more.pop("model_type", "qwen2")
    config = AutoConfig.for_model(kind, **{**MODEL, **more})
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)
    return folder


def generates(folder: Path) -> Any:
    """The model, of which transformers misses nothing."""
    model, found = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not any(found[how] for how in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    made = model.generate(torch.tensor([[1, 2]]), max_new_tokens=3, min_new_tokens=3)
    assert made.shape == (1, 5)
    return model
