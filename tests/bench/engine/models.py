"""Made models to merge: Qwen2's tensors in bfloat16, with random contents around one base."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

AROUND = 0.02  # the size of a weight
CHANGED = 0.1  # of that size: what a model changes of its base
BASE = 0  # the number of the base; other numbers are models around it


@dataclass(frozen=True)
class Size:
    """The sizes of a Qwen2 model whose head is its embedding."""

    name: str
    hidden: int
    inner: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int = 151_936

    def shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        keys = self.hidden // self.heads * self.kv_heads
        yield "model.embed_tokens.weight", (self.vocabulary, self.hidden)
        for number in range(self.layers):
            layer = f"model.layers.{number}"
            for name, rows in (("q", self.hidden), ("k", keys), ("v", keys)):
                yield f"{layer}.self_attn.{name}_proj.weight", (rows, self.hidden)
                yield f"{layer}.self_attn.{name}_proj.bias", (rows,)
            yield f"{layer}.self_attn.o_proj.weight", (self.hidden, self.hidden)
            for name in ("gate", "up"):
                yield f"{layer}.mlp.{name}_proj.weight", (self.inner, self.hidden)
            yield f"{layer}.mlp.down_proj.weight", (self.hidden, self.inner)
            for name in ("input_layernorm", "post_attention_layernorm"):
                yield f"{layer}.{name}.weight", (self.hidden,)
        yield "model.norm.weight", (self.hidden,)

    def config(self) -> dict[str, object]:
        return {
            "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "dtype": "bfloat16",
            "hidden_size": self.hidden, "intermediate_size": self.inner,
            "num_hidden_layers": self.layers, "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads, "vocab_size": self.vocabulary,
            "tie_word_embeddings": True,
        }  # fmt: skip


SIZES = {
    "0.5b": Size("0.5b", 896, 4864, 24, 14, 2),
    "3b": Size("3b", 2048, 11008, 36, 16, 2),
    "tiny": Size("tiny", 64, 128, 2, 4, 2, vocabulary=512),
}


def make(folder: Path, size: Size, number: int) -> Path:
    """The model of a number; the same number is the same model."""
    made = folder / f"{size.name}-{number}"
    if not made.is_dir():
        work = folder / f".{made.name}"
        work.mkdir(parents=True, exist_ok=True)
        shapes = enumerate(size.shapes())
        held = {name: _tensor(shape, place, number) for place, (name, shape) in shapes}
        save_file(held, work / "model.safetensors", metadata={"format": "pt"})
        (work / "config.json").write_text(json.dumps(size.config()))
        work.rename(made)
    return made


def _tensor(shape: tuple[int, ...], place: int, number: int) -> Tensor:
    tensor = _noise(shape, place * 1000 + BASE)
    if number != BASE:
        tensor.add_(_noise(shape, place * 1000 + number), alpha=CHANGED)
    return tensor.bfloat16()


def _noise(shape: tuple[int, ...], seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator).mul_(AROUND)
