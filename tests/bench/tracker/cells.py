"""One setting of which the tracker measures a step, and random ones."""

import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

# hidden, intermediate, layers, heads, KV heads, vocabulary, tied, head size: published models.
SIZES: dict[str, list[tuple[int, int, int, int, int, int, bool, int]]] = {
    "llama": [
        (2048, 8192, 16, 32, 8, 128256, True, 64), (3072, 8192, 28, 24, 8, 128256, True, 128),
        (4096, 14336, 32, 32, 8, 128256, False, 128), (4096, 11008, 32, 32, 32, 32000, False, 128),
        (5120, 13824, 40, 40, 40, 32000, False, 128), (8192, 28672, 80, 64, 8, 128256, False, 128),
        (2048, 5632, 22, 32, 4, 32000, False, 64),
    ],
    "mistral": [
        (4096, 14336, 32, 32, 8, 32768, False, 128), (5120, 14336, 40, 32, 8, 131072, False, 128),
        (5120, 32768, 40, 32, 8, 131072, False, 128), (4096, 12288, 36, 32, 8, 131072, False, 128),
    ],
    "qwen2": [
        (896, 4864, 24, 14, 2, 151936, True, 64), (1536, 8960, 28, 12, 2, 151936, True, 128),
        (2048, 11008, 36, 16, 2, 151936, True, 128), (3584, 18944, 28, 28, 4, 152064, False, 128),
        (5120, 13824, 48, 40, 8, 152064, False, 128), (5120, 27648, 64, 40, 8, 152064, False, 128),
        (8192, 29568, 80, 64, 8, 152064, False, 128),
    ],
    "qwen3": [
        (1024, 3072, 28, 16, 8, 151936, True, 128), (2048, 6144, 28, 16, 8, 151936, True, 128),
        (2560, 9728, 36, 32, 8, 151936, True, 128), (4096, 12288, 36, 32, 8, 151936, False, 128),
        (5120, 17408, 40, 40, 8, 151936, False, 128), (5120, 25600, 64, 64, 8, 151936, False, 128),
    ],
}  # fmt: skip
# hidden, expert width, layers, heads, KV heads, vocabulary, head size, experts, experts a token.
MIXTURES: dict[str, list[tuple[int, int, int, int, int, int, int, int, int]]] = {
    "qwen3_moe": [(2048, 768, 48, 32, 4, 151936, 128, 128, 8)],
    "mixtral": [(4096, 14336, 32, 32, 8, 32000, 128, 8, 2)],
}
DENSE = tuple(SIZES)


@dataclass(frozen=True)
class Cell:
    """``config`` are the keys of the model's ``config.json``; the rest is as ``Engine`` and
    ``Update`` of ``compute.sizing.question`` name it. ``task`` is an update, or a pass without
    gradient of the trained model (forward) or of the reference, whose weights are not counted."""

    config: dict[str, Any] = field(hash=False)
    tokens: int
    shards: int
    checkpointing: bool
    strategy: Literal["fsdp", "fsdp2"]
    micro_batches: int = 1
    synced: bool = True
    sequence_parallel: int = 1
    lora: int = 0
    modules: tuple[str, ...] = ()
    head: Literal["tokens", "value"] = "tokens"
    task: str = "update"
    entropy: bool = False
    temperature: float = 1.0
    pairs: bool = False

    def written(self) -> dict[str, Any]:
        return asdict(self)


def read_cell(written: dict[str, Any]) -> Cell:
    return Cell(**{**written, "modules": tuple(written.get("modules", ()))})


def dense_cells(seed: int, families: tuple[str, ...] = DENSE) -> Iterator[Cell]:
    """Updates of dense models, half of published sizes and half of sizes drawn between them."""
    draw = random.Random(seed)
    while True:
        family = draw.choice(families)
        config = _published(draw, family) if draw.random() < 0.5 else _between(draw, family)
        yield Cell(config=config, **_setting(draw))


def _setting(draw: random.Random) -> dict[str, Any]:
    micro_batches = draw.choice([1, 4])
    return {
        "tokens": 128 * round(2 ** draw.uniform(3, 8)),
        "shards": 2 ** draw.randint(0, 6),
        "checkpointing": draw.random() < 0.6,
        "strategy": draw.choice(["fsdp", "fsdp2"]),
        "micro_batches": micro_batches,
        "synced": micro_batches == 1 or draw.random() < 0.5,
    }


def _published(draw: random.Random, family: str) -> dict[str, Any]:
    return _config(family, *draw.choice(SIZES[family]))


def _between(draw: random.Random, family: str) -> dict[str, Any]:
    head_dim = draw.choice([64, 128])
    kv_heads = draw.choice([1, 2, 4, 8])
    heads = kv_heads * draw.randint(1, max(1, 48 // kv_heads))
    hidden = 128 * draw.randint(6, 48)
    if family == "qwen2" or draw.random() < 0.5:
        hidden = max(512, heads * head_dim)
    width = 128 * round(hidden * draw.uniform(2, 5.5) / 128)
    vocab = 64 * round(2 ** draw.uniform(14.9, 18) / 64)
    layers = draw.randint(8, 64)
    return _config(
        family, hidden, width, layers, heads, kv_heads, vocab, draw.random() < 0.4, head_dim
    )


def _config(
    family: str, hidden: int, width: int, layers: int, heads: int, kv_heads: int, vocab: int,
    tied: bool, head_dim: int,
) -> dict[str, Any]:  # fmt: skip
    config = {
        "model_type": family, "hidden_size": hidden, "intermediate_size": width,
        "num_hidden_layers": layers, "num_attention_heads": heads,
        "num_key_value_heads": kv_heads, "vocab_size": vocab, "tie_word_embeddings": tied,
        "max_position_embeddings": 32768, "head_dim": head_dim,
    }  # fmt: skip
    if family == "qwen2":
        config.pop("head_dim")  # it has none of its own
        config["hidden_size"] = heads * head_dim
    if family == "llama" and hidden % heads:
        config["hidden_size"] = heads * head_dim  # its class asks for it
    return config


LINEARS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def other_cells(seed: int, kinds: tuple[str, ...] = ()) -> Iterator[Cell]:
    """LoRA, critic, passes without gradient, sequence parallelism, pairs, entropy, mixtures."""
    draw = random.Random(seed)
    dense = dense_cells(seed + 1)
    kinds = kinds or tuple(KINDS)
    while True:
        kind = draw.choice(kinds)
        base = next(dense)
        changes = KINDS[kind](draw, base)
        yield Cell(**{**vars(base), **changes})


def _lora(draw: random.Random, base: Cell) -> dict[str, Any]:
    some = draw.choice([LINEARS, ("q_proj", "v_proj"), LINEARS[:4]])
    return {"lora": draw.choice([8, 16, 32, 64]), "modules": some}


def _critic(draw: random.Random, base: Cell) -> dict[str, Any]:
    return {"head": "value", "task": draw.choice(["update", "update", "forward"])}


def _passes(draw: random.Random, base: Cell) -> dict[str, Any]:
    return {
        "task": draw.choice(["forward", "reference"]), "micro_batches": 1, "synced": True,
        "entropy": draw.random() < 0.5, "temperature": draw.choice([1.0, 0.7]),
    }  # fmt: skip


def _parallel(draw: random.Random, base: Cell) -> dict[str, Any]:
    heads = base.config["num_attention_heads"]
    fitting = [one for one in (2, 4, 8) if heads % one == 0]
    if not fitting:
        base.config["num_attention_heads"] = 2 * heads
        if "head_dim" not in base.config:
            base.config["hidden_size"] *= 2
        fitting = [2]
    parallel = draw.choice(fitting)
    return {"sequence_parallel": parallel, "shards": max(base.shards, parallel)}


def _pairs(draw: random.Random, base: Cell) -> dict[str, Any]:
    return {"pairs": True}


def _entropy(draw: random.Random, base: Cell) -> dict[str, Any]:
    return {"entropy": draw.random() < 0.6, "temperature": draw.choice([1.0, 0.7])}


def _mixture(draw: random.Random, base: Cell) -> dict[str, Any]:
    family = draw.choice(list(MIXTURES))
    sizes = draw.choice(MIXTURES[family])
    hidden, width, layers, heads, kv_heads, vocab, head_dim, experts, chosen = sizes
    if draw.random() < 0.6:
        hidden, width = 128 * draw.randint(8, 32), 128 * draw.randint(4, 24)
        layers, experts, chosen = draw.randint(8, 48), draw.choice([8, 16, 64]), draw.choice([2, 4])
    config = _config(family, hidden, width, layers, heads, kv_heads, vocab, False, head_dim)
    config |= {"num_experts_per_tok": chosen}
    if family == "mixtral":
        config |= {"num_local_experts": experts, "sliding_window": None}
    else:
        config |= {"num_experts": experts, "moe_intermediate_size": width,
                   "decoder_sparse_step": 1, "mlp_only_layers": []}  # fmt: skip
    return {"config": config}


def _mixture_passes(draw: random.Random, base: Cell) -> dict[str, Any]:
    return {**_mixture(draw, base), **_passes(draw, base)}


KINDS = {
    "lora": _lora, "critic": _critic, "passes": _passes, "parallel": _parallel, "pairs": _pairs,
    "entropy": _entropy, "mixture": _mixture, "mixture_passes": _mixture_passes,
}  # fmt: skip
