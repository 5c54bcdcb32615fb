"""Settings of a run on the CPU, beside the plug-in that VERL_PLATFORM=cpu loads: no CUDA kernels,
and fp32, since bf16 is slow there. The values are written in Hydra's syntax."""

from collections.abc import Iterator

from jobs.verl.algorithms import is_rl
from jobs.verl.knobs import number
from jobs.verl.spec import TrainSpec

FP32 = "mixed_precision.param_dtype=float32"
SUPERVISED = (
    "trainer.device=cpu",
    "engine.strategy=fsdp2",
    "engine.use_torch_compile=false",
    f"engine.{FP32}",
    "model.use_remove_padding=false",
    "+model.override_config.attn_implementation=sdpa",
    "data.num_workers=0",
)
RL = (
    "trainer.device=cpu",
    "actor_rollout_ref.actor.strategy=fsdp2",
    "actor_rollout_ref.actor.fsdp_config.use_torch_compile=false",
    f"actor_rollout_ref.actor.fsdp_config.{FP32}",
    "actor_rollout_ref.ref.strategy=fsdp2",
    f"actor_rollout_ref.ref.fsdp_config.{FP32}",
    "actor_rollout_ref.rollout.dtype=float32",
    "actor_rollout_ref.model.use_remove_padding=false",
    "+actor_rollout_ref.model.override_config.attn_implementation=sdpa",
    "data.dataloader_num_workers=0",
    # One small machine runs few helper processes.
    "actor_rollout_ref.rollout.agent.num_workers=1",
    "reward.num_workers=1",
    "transfer_queue.backend.SimpleStorage.num_data_storage_units=1",
)
# A Ray cluster that already runs refuses these.
OWN_RAY = (
    "+ray_kwargs.ray_init.include_dashboard=false",
    "+ray_kwargs.ray_init.object_store_memory=200000000",
    # With too few logical CPUs for Ray's actors, a run hangs without a message.
    "ray_kwargs.ray_init.num_cpus=32",
)
CRITIC = (
    "critic.strategy=fsdp2",
    "critic.fsdp.use_torch_compile=false",
    f"critic.fsdp.{FP32}",
    "critic.model.use_remove_padding=false",
    "+critic.model.override_config.attn_implementation=sdpa",
)
ENV = {
    "VERL_PLATFORM": "cpu",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "GLOO_SOCKET_IFNAME": "lo",
}
# Ray would start as many idle Python processes as it has logical CPUs, of which
# a run needs few: they would take the time of a small machine from the run's own start.
RL_ENV = {
    "RAY_prestart_worker_first_driver": "0",
    # Imported by Ray's workers first: they then import verl in five sixths of the time.
    "RAY_preload_python_modules": "trainyard_node.early",
}


def environment(kind: str) -> dict[str, str]:
    """The environment variables of a run of this kind on the CPU."""
    return ENV | RL_ENV if is_rl(kind) else dict(ENV)


def overrides(spec: TrainSpec, *, own_ray: bool = True) -> Iterator[str]:
    """The overrides of a run on the CPU. ``own_ray``: verl starts a Ray for this run."""
    if not is_rl(spec.kind):
        yield from SUPERVISED
        return
    yield from (*RL, *OWN_RAY) if own_ray else RL
    yield from CRITIC if spec.kind == "ppo" else ()
    if own_ray:
        yield f"+ray_kwargs.ray_init.num_gpus={number(spec, 'gpus')}"
    if number(spec, "lora_rank", 0):
        # The CPU rollout samples from complete weights.
        yield "actor_rollout_ref.model.lora.merge=true"
