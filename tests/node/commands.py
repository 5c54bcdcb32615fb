"""The sample runs' command lines: what a CPU run of verl needs, and nothing that it does not."""

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import trainyard_node.rewards.arithmetic as reward

# This folder, for verl to load modules of the tests from, before what was there.
TESTS = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))
FP32 = "{param_dtype:fp32,reduce_dtype:fp32,buffer_dtype:fp32}"


# What a run of SFT or DPO on the CPU needs.
_SMALL_FSDP = [
    "trainer.device=cpu",
    "data.num_workers=0",
    "engine.strategy=fsdp2",
    "engine.use_torch_compile=False",
    "engine.dtype=float32",
    f"+engine.mixed_precision={FP32}",
    "model.use_remove_padding=False",
    "model.enable_gradient_checkpointing=False",
    "+model.override_config.attn_implementation=sdpa",
]


@dataclass(frozen=True)
class Command:
    argv: list[str]
    env: dict[str, str]

    def script(self, root: Path) -> str:
        exports = [f"export {name}={shlex.quote(value)}" for name, value in self.env.items()]
        lines = [*exports, f"cd {shlex.quote(str(root))}", f"exec {shlex.join(self.argv)}"]
        return "\n".join(lines) + "\n"


def sft(samples: Path, root: Path, ranks: int = 1, *more: str) -> Command:
    """64 steps of 32 rows; checkpoints at 32 and 64, validation every 16."""
    argv = [
        sys.executable,
        *["-m", "torch.distributed.run", "--standalone", "--nnodes=1"],
        *[f"--nproc_per_node={ranks}", "-m", "trainyard_node.sft"],
        f"model.path={samples}/model",
        f"data.train_files={samples}/sft/train.parquet",
        f"data.val_files={samples}/sft/val.parquet",
        "data.train_batch_size=32",
        "data.micro_batch_size_per_gpu=16",
        "data.use_dynamic_bsz=False",
        "data.max_length=64",
        "optim.lr=2e-3",
        "checkpoint.save_contents=[model,optimizer,extra,hf_model]",
        "trainer.total_epochs=1",
        "trainer.save_freq=32",
        "trainer.test_freq=16",
        *_trainer(root),
        *_SMALL_FSDP,
        *more,
    ]
    return Command(argv, _environment(root))


def dpo(samples: Path, root: Path, ranks: int = 1, *more: str) -> Command:
    """48 steps of 32 pairs; checkpoints at 24 and 48, validation every 16."""
    argv = [
        sys.executable,
        *["-m", "torch.distributed.run", "--standalone", "--nnodes=1"],
        *[f"--nproc_per_node={ranks}", "-m", "trainyard_node.dpo"],
        *dpo_overrides(samples),
        *_trainer(root),
        *more,
    ]
    return Command(argv, _environment(root))


def dpo_overrides(samples: Path) -> list[str]:
    """What a small DPO run on the CPU needs, without its loggers and folders."""
    return [
        f"model.path={samples}/model-warm",
        f"data.train_files={samples}/dpo/train.parquet",
        f"data.val_files={samples}/dpo/val.parquet",
        "data.train_batch_size=32",
        "data.micro_batch_size_per_gpu=16",
        "data.max_length=64",
        "optim.lr=1e-4",
        "trainer.total_epochs=1",
        "trainer.save_freq=24",
        "trainer.test_freq=16",
        *_SMALL_FSDP,
    ]


def dpo_probe(tests: Path, root: Path, what: str) -> Command:
    """Ends where the names of its files go."""
    argv = [
        sys.executable,
        *["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=1"],
        *[f"{tests}/dpo_probe.py", what],
    ]
    return Command(argv, _environment(root))


def dpo_trl(tests: Path, trl: Path) -> Command:
    """Likewise, with TRL to import."""
    env = {"PYTHONPATH": str(trl), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    return Command([sys.executable, f"{tests}/dpo_trl.py"], env)


def recorded(command: Command, root: Path) -> Command:
    """Each process also writes down which keys it reads, and what was done with some."""
    modules = [command.env.get("VERL_USE_EXTERNAL_MODULES", ""), "reads", "at_work"]
    env = {
        "VERL_USE_EXTERNAL_MODULES": ",".join(filter(None, modules)),
        "PYTHONPATH": TESTS,
        "READS": f"{root}/reads",
    }
    return Command(command.argv, {**command.env, **env})


def plain_environment() -> dict[str, str]:
    """This process's, without anything that chooses a platform for verl."""
    return {name: value for name, value in os.environ.items() if not name.startswith("VERL_")}


def grpo(samples: Path, root: Path, *more: str) -> Command:
    """16 steps of 12 prompts with 8 answers each; checkpoints and validation at 8 and 16."""
    model = "actor_rollout_ref.model"
    actor, rollout = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
    argv = [
        *[sys.executable, "-m", "verl.trainer.main_ppo"],
        "algorithm.adv_estimator=grpo",
        f"{model}.path={samples}/model-warm",
        f"data.train_files={samples}/rl/train.parquet",
        f"data.val_files={samples}/rl/val.parquet",
        "data.train_batch_size=12",
        "data.max_prompt_length=32",
        "data.max_response_length=8",
        f"{actor}.ppo_mini_batch_size=12",
        f"{actor}.ppo_micro_batch_size_per_gpu=48",
        f"{actor}.optim.lr=2.5e-4",
        f"{rollout}.n=8",
        f"{rollout}.log_prob_micro_batch_size_per_gpu=48",
        f"reward.custom_reward_function.path={reward.__file__}",
        "reward.custom_reward_function.name=compute_score",
        "trainer.total_training_steps=16",
        "trainer.val_before_train=False",
        "trainer.save_freq=8",
        "trainer.test_freq=8",
        f"trainer.rollout_data_dir={root}/rollouts",
        f"trainer.validation_data_dir={root}/validation",
        "trainer.nnodes=1",
        "trainer.n_gpus_per_node=1",
        *_trainer(root),
        # One small machine: few helpers, a small object store, no dashboard.
        f"{rollout}.agent.num_workers=1",
        "reward.num_workers=1",
        "transfer_queue.backend.SimpleStorage.num_data_storage_units=1",
        "+ray_kwargs.ray_init.include_dashboard=False",
        "+ray_kwargs.ray_init.object_store_memory=200000000",
        # A CPU run needs these.
        "trainer.device=cpu",
        "ray_kwargs.ray_init.num_cpus=32",
        "+ray_kwargs.ray_init.num_gpus=1",
        "data.dataloader_num_workers=0",
        f"{rollout}.name=hf",
        f"{rollout}.dtype=float32",
        f"{rollout}.tensor_model_parallel_size=1",
        f"{actor}.strategy=fsdp2",
        f"{actor}.fsdp_config.use_torch_compile=False",
        f"{actor}.fsdp_config.dtype=float32",
        f"+{actor}.fsdp_config.mixed_precision={FP32}",
        f"{model}.use_remove_padding=False",
        f"{model}.enable_gradient_checkpointing=False",
        f"+{model}.override_config.attn_implementation=sdpa",
        *more,
    ]
    ray = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    ray["RAY_prestart_worker_first_driver"] = "0"
    ray["RAY_preload_python_modules"] = "trainyard_node.early"
    return Command(argv, {**_environment(root), **ray})


def _trainer(root: Path) -> list[str]:
    return [
        "trainer.logger=[console,file]",
        "trainer.project_name=trainyard",
        "trainer.experiment_name=sample",
        f"trainer.default_local_dir={root}/checkpoints",
        f"hydra.run.dir={root}/hydra",
    ]


def _environment(root: Path) -> dict[str, str]:
    return {
        "VERL_PLATFORM": "cpu",
        "VERL_FILE_LOGGER_PATH": f"{root}/metrics.jsonl",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
        "PYTHONUNBUFFERED": "1",
    }
