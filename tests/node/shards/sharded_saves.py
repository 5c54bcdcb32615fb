"""Checkpoints of one tiny model as verl's own manager saves them, for several world sizes.

    python tests/node/shards/sharded_saves.py FOLDER

makes FOLDER/STRATEGY-RANKS-REPLICAS/global_step_1, and FOLDER/merged-* by verl's own merger.
"""

import os
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from omegaconf import OmegaConf
from torch import multiprocessing
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel as Fsdp1
from torch.distributed.fsdp import MixedPrecisionPolicy, ShardingStrategy
from transformers import AutoConfig, AutoModelForCausalLM
from verl.model_merger.base_model_merger import ModelMergerConfig
from verl.model_merger.fsdp_model_merger import FSDPModelMerger
from verl.utils.checkpoint.fsdp_checkpoint_manager import FSDPCheckpointManager
from verl.utils.fsdp_utils import apply_fsdp2, get_fsdp_wrap_policy

# Odd sizes: none of them is a multiple of 8.
MODEL = {
    "model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "hidden_size": 36,
    "intermediate_size": 50, "num_hidden_layers": 2, "num_attention_heads": 3,
    "num_key_value_heads": 1, "vocab_size": 101, "max_position_embeddings": 64,
}  # fmt: skip
CASES = [
    (strategy, ranks, replicas)
    for strategy in ("fsdp", "fsdp2")
    for ranks, replicas in ((1, 1), (2, 1), (4, 1), (8, 1), (4, 2))
]


def _wrapped(strategy: str, ranks: int, replicas: int) -> Any:
    torch.manual_seed(5)
    config = AutoConfig.for_model(**MODEL, tie_word_embeddings=ranks == 2)
    model: Any = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    mesh = (
        init_device_mesh("cpu", (replicas, ranks // replicas), mesh_dim_names=("ddp", "fsdp"))
        if replicas > 1
        else init_device_mesh("cpu", (ranks,), mesh_dim_names=("fsdp",))
    )
    if strategy == "fsdp2":
        policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=True)
        apply_fsdp2(model, {"mesh": mesh, "mp_policy": policy}, OmegaConf.create({}))
        return model
    kind = ShardingStrategy.HYBRID_SHARD if replicas > 1 else ShardingStrategy.FULL_SHARD
    return Fsdp1(
        model, auto_wrap_policy=get_fsdp_wrap_policy(model, None, False), sharding_strategy=kind,
        device_mesh=mesh, device_id=torch.device("cpu"), use_orig_params=False,
    )  # fmt: skip


def _save(rank: int, folder: Path, case: tuple[str, int, int]) -> None:
    torch.set_num_threads(1)
    store = f"file://{folder}/store"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=case[1])
    asked = OmegaConf.create({"save_contents": ["model"], "load_contents": ["model"]})
    model = _wrapped(*case)
    manager = FSDPCheckpointManager(model, None, None, None, asked)
    manager.save_checkpoint(str(folder / "global_step_1"), None, 1)
    dist.barrier()
    os._exit(0)  # some versions of gloo hang at the end


def _merge(folder: Path) -> None:
    step = str(folder / "global_step_1")
    FSDPModelMerger(
        ModelMergerConfig(
            operation="merge",
            backend="fsdp",
            local_dir=step,
            target_dir=str(folder / "merged"),
            hf_model_config_path=f"{step}/huggingface",
        )
    ).merge_and_save()


def main() -> None:
    # What the parent imported, forked children have: importing verl takes most of the time.
    context = multiprocessing.get_context("fork")
    for case in CASES:
        folder = Path(sys.argv[1]) / "-".join(map(str, case))
        folder.mkdir(parents=True)
        ranks = [
            context.Process(target=_save, args=(rank, folder, case)) for rank in range(case[1])
        ]
        for process in ranks:
            process.start()
        for process in ranks:
            process.join(240)
            if process.exitcode:
                sys.exit(f"{case}: a rank ended with {process.exitcode}")
    for case in CASES:
        _merge(Path(sys.argv[1]) / "-".join(map(str, case)))


if __name__ == "__main__":
    main()
