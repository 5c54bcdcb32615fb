"""What is measured: models of 0.5 to 3 billion weights, and how each step is cut up."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

QWEN: Mapping[str, Any] = {
    "model_type": "qwen2", "vocab_size": 151936, "num_key_value_heads": 2,
    "max_position_embeddings": 32768, "tie_word_embeddings": True,
}  # fmt: skip
LLAMA: Mapping[str, Any] = {
    "model_type": "llama", "vocab_size": 128256, "num_key_value_heads": 8,
    "max_position_embeddings": 131072, "tie_word_embeddings": True,
}  # fmt: skip
MODELS: Mapping[str, Mapping[str, Any]] = {
    "qwen2.5-0.5b": {
        **QWEN, "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24,
        "num_attention_heads": 14,
    },
    "qwen2.5-1.5b": {
        **QWEN, "hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28,
        "num_attention_heads": 12,
    },
    # No such model is published: it is here for an output head with weights of its own.
    "qwen2.5-1.5b-untied": {
        **QWEN, "hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28,
        "num_attention_heads": 12, "tie_word_embeddings": False,
    },
    "qwen2.5-3b": {
        **QWEN, "hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36,
        "num_attention_heads": 16,
    },
    "llama-3.2-1b": {
        **LLAMA, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
        "num_attention_heads": 32, "head_dim": 64,
    },
    "llama-3.2-3b": {
        **LLAMA, "hidden_size": 3072, "intermediate_size": 8192, "num_hidden_layers": 28,
        "num_attention_heads": 24, "head_dim": 128,
    },
    "tiny": {
        **QWEN, "vocab_size": 512, "hidden_size": 64, "intermediate_size": 128,
        "num_hidden_layers": 2, "num_attention_heads": 4,
    },
    "tiny-untied": {
        **LLAMA, "vocab_size": 512, "hidden_size": 64, "intermediate_size": 128,
        "num_hidden_layers": 2, "num_attention_heads": 8, "tie_word_embeddings": False,
    },
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One optimizer step. ``tokens`` are in a micro batch, in rows of ``length``; ``synced`` is
    whether gradients are reduced after each micro batch, or after the last one alone."""

    model: str
    tokens: int
    checkpointing: bool
    micro_batches: int = 1
    synced: bool = True
    length: int = 2048

    @property
    def name(self) -> str:
        kept = "checkpointing" if self.checkpointing else "all-kept"
        late = "" if self.synced else "-deferred"
        return f"{self.model}/{self.tokens}/{kept}/{self.micro_batches}{late}"

    @property
    def config(self) -> Mapping[str, Any]:
        return MODELS[self.model]

    @property
    def rows(self) -> int:
        return self.tokens // self.length


# The most telling ones first: time may end before the last.
CARD = (
    Cell("qwen2.5-0.5b", 8192, True),
    Cell("qwen2.5-1.5b", 4096, False),
    Cell("qwen2.5-3b", 8192, True, 4, synced=False),
    Cell("llama-3.2-1b", 16384, True),
    Cell("llama-3.2-3b", 2048, False),
    Cell("qwen2.5-1.5b-untied", 8192, True, 4),
    Cell("qwen2.5-0.5b", 16384, False, 4, synced=False),
    Cell("qwen2.5-3b", 16384, True, length=4096),
    Cell("llama-3.2-1b", 2048, True, 4, length=512),
    Cell("llama-3.2-3b", 16384, True, 4, length=8192),
    Cell("qwen2.5-1.5b-untied", 2048, False, 4, synced=False),
    Cell("qwen2.5-3b", 16384, False),
)
CPU = (
    Cell("tiny", 64, True, length=32),
    Cell("tiny-untied", 64, False, 2, synced=False, length=16),
)


def picked(cells: Iterable[Cell], wanted: str) -> list[Cell]:
    """Those whose names hold one of the words between commas; all for none."""
    words = [word.strip() for word in wanted.split(",") if word.strip()]
    return [one for one in cells if not words or any(word in one.name for word in words)]
