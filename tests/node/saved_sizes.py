"""What verl's own manager writes of a tiny model, measured in bytes after one real step.

    environments/verl-0.9/.venv/bin/python tests/node/saved_sizes.py [FILE]

writes the data file that the platform's estimate is held against, which has no torch.
"""

import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from omegaconf import OmegaConf
from peft import LoraConfig, get_peft_model
from torch import multiprocessing, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel as Fsdp1
from torch.distributed.fsdp import MixedPrecision, MixedPrecisionPolicy, ShardingStrategy
from transformers import AutoConfig, AutoModelForCausalLM
from verl.utils.checkpoint.fsdp_checkpoint_manager import FSDPCheckpointManager
from verl.utils.fsdp_utils import apply_fsdp2, get_fsdp_wrap_policy

KEPT = Path(__file__).parents[1] / "compute/sizing/memory/saved_sizes.json"
RANKS = 2
CONTENTS = ["model", "optimizer", "extra"]
MODEL = {
    "model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "hidden_size": 256,
    "intermediate_size": 768, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 8192, "max_position_embeddings": 256,
}  # fmt: skip
USUAL = {"strategy": "fsdp2", "master": "float32", "tied": False, "rank": 0, "replicas": 1}
CASES: list[dict[str, Any]] = [
    {**USUAL, **changes}
    for changes in (
        {}, {"strategy": "fsdp"}, {"tied": True}, {"strategy": "fsdp", "tied": True},
        {"rank": 64}, {"strategy": "fsdp", "rank": 64},
        {"rank": 64, "master": "bfloat16"}, {"replicas": 2}, {"strategy": "fsdp", "replicas": 2},
    )
]  # fmt: skip


def config_of(case: Mapping[str, Any]) -> dict[str, Any]:
    return {**MODEL, "tie_word_embeddings": case["tied"]}


def _model(case: Mapping[str, Any]) -> nn.Module:
    config = AutoConfig.for_model(**config_of(case))
    kind = getattr(torch, case["master"])
    model: Any = AutoModelForCausalLM.from_config(config, dtype=kind)
    if case["rank"]:
        model.enable_input_require_grads()
        wanted = LoraConfig(task_type="CAUSAL_LM", r=case["rank"], target_modules="all-linear")
        model = get_peft_model(model, wanted).to(kind)
    return model


def _wrapped(model: Any, case: Mapping[str, Any]) -> Any:
    is_hybrid = case["replicas"] > 1
    names = ("ddp", "fsdp")
    shape = (case["replicas"], RANKS // case["replicas"])
    mesh = (
        init_device_mesh("cpu", shape, mesh_dim_names=names)
        if is_hybrid
        else init_device_mesh("cpu", (RANKS,))
    )
    if case["strategy"] == "fsdp2":
        policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=True)
        apply_fsdp2(model, {"mesh": mesh, "mp_policy": policy}, OmegaConf.create({}))
        return model
    kinds = ShardingStrategy
    return Fsdp1(
        model,
        auto_wrap_policy=get_fsdp_wrap_policy(model, None, case["rank"] > 0),
        mixed_precision=MixedPrecision(torch.bfloat16, torch.float32, torch.float32),
        sharding_strategy=kinds.HYBRID_SHARD if is_hybrid else kinds.FULL_SHARD,
        device_mesh=mesh, device_id=torch.device("cpu"), use_orig_params=False,
    )  # fmt: skip


def _save(case: Mapping[str, Any], folder: Path) -> None:
    model = _wrapped(_model(case), case)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(input_ids=torch.zeros(1, 8, dtype=torch.int64), use_cache=False).logits
    logits.float().sum().backward()
    optimizer.step()
    # FSDP1 gathers no whole model without a GPU.
    contents = [*CONTENTS, "hf_model"] if case["strategy"] == "fsdp2" else CONTENTS
    asked = OmegaConf.create({"save_contents": contents, "load_contents": CONTENTS})
    manager = FSDPCheckpointManager(model, optimizer, None, None, asked)
    manager.save_checkpoint(str(folder), None, 1)


def _work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    store = f"file://{folder}/store"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=RANKS)
    for at, case in enumerate(CASES):
        _save(case, Path(folder) / str(at))
    dist.destroy_process_group()


def _bytes(folder: Path) -> dict[str, int]:
    """By content."""
    patterns = {
        "model": "model_world_size_*", "optimizer": "optim_world_size_*",
        "hf_model": "huggingface/*.safetensors",
    }  # fmt: skip
    found = {name: list(folder.glob(pattern)) for name, pattern in patterns.items()}
    return {
        name: sum(one.stat().st_size for one in files) for name, files in found.items() if files
    }


def measured() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        multiprocessing.spawn(_work, (folder,), nprocs=RANKS)
        return [
            {**case, "config": config_of(case), "bytes": _bytes(Path(folder) / str(at))}
            for at, case in enumerate(CASES)
        ]


def lines() -> list[str]:
    return [json.dumps(one, sort_keys=True) for one in measured()]


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else KEPT
    target.write_text("[\n" + ",\n".join(lines()) + "\n]\n", encoding="utf-8")
