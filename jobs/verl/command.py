"""From a spec to the exact process: the argv that runs, with nothing decided later."""

from collections.abc import Iterator

from jobs.verl.knobs import COMMAND, knobs_of, number, value_of
from jobs.verl.overrides import write_value
from jobs.verl.spec import Command, Placement, Setting, TrainSpec

RL_MODULE = "verl.trainer.main_ppo"
SFT_MODULE = "verl.trainer.sft_trainer"

FP32 = "{param_dtype:fp32,reduce_dtype:fp32,buffer_dtype:fp32}"
# What a run on the CPU needs beside the plug-in that VERL_PLATFORM=cpu loads: no CUDA kernels, and
# fp32, since bf16 is slow there. The values are written as Hydra reads them.
CPU_SFT = (
    "trainer.device=cpu",
    "engine.strategy=fsdp2",
    "engine.use_torch_compile=false",
    "engine.dtype=float32",
    f"+engine.mixed_precision={FP32}",
    "model.use_remove_padding=false",
    "+model.override_config.attn_implementation=sdpa",
    "data.num_workers=0",
)
CPU_RL = (
    "trainer.device=cpu",
    "actor_rollout_ref.actor.strategy=fsdp2",
    "actor_rollout_ref.actor.use_torch_compile=false",
    "actor_rollout_ref.actor.fsdp_config.use_torch_compile=false",
    "actor_rollout_ref.actor.fsdp_config.dtype=float32",
    f"+actor_rollout_ref.actor.fsdp_config.mixed_precision={FP32}",
    "actor_rollout_ref.ref.strategy=fsdp2",
    "actor_rollout_ref.ref.fsdp_config.dtype=float32",
    "actor_rollout_ref.rollout.dtype=float32",
    "actor_rollout_ref.model.use_remove_padding=false",
    "+actor_rollout_ref.model.override_config.attn_implementation=sdpa",
    "data.dataloader_num_workers=0",
    # One small machine: few helpers, a small object store, no dashboard.
    "actor_rollout_ref.rollout.agent.num_workers=1",
    "reward.num_workers=1",
    "transfer_queue.backend.SimpleStorage.num_data_storage_units=1",
    "+ray_kwargs.ray_init.include_dashboard=false",
    "+ray_kwargs.ray_init.object_store_memory=200000000",
    # Too few logical CPUs for Ray's actors hang the run without a word.
    "ray_kwargs.ray_init.num_cpus=32",
)
CPU_ENV = {
    "VERL_PLATFORM": "cpu",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "GLOO_SOCKET_IFNAME": "lo",
}


def build_command(spec: TrainSpec, placement: Placement, origins: dict[str, str]) -> Command:
    """Build the command of a training run.

    ``origins`` maps a knob's name to who set it (``recipe`` or ``you``). The overrides stand in a
    fixed order: what the platform needs, the knobs in the order of the form, then the free ones,
    so that nothing the platform adds can undo what the user asked for.
    """
    settings = (
        *_platform_settings(spec, placement),
        *_knob_settings(spec, origins),
        *(Setting(text.partition("=")[0], text, "you") for text in spec.overrides),
    )
    argv = (*_launcher(spec, placement), *(setting.text for setting in settings))
    return Command(argv, _environment(spec, placement), placement.run_dir, settings)


def _launcher(spec: TrainSpec, placement: Placement) -> tuple[str, ...]:
    if spec.kind != "sft":
        return (placement.python, "-m", RL_MODULE)
    ranks = f"--nproc_per_node={number(spec, 'gpus')}"
    torchrun = (placement.python, "-m", "torch.distributed.run", "--standalone", "--nnodes=1")
    return (*torchrun, ranks, "-m", SFT_MODULE)


def _platform_settings(spec: TrainSpec, placement: Placement) -> Iterator[Setting]:
    for text in _platform_overrides(spec, placement):
        yield Setting(text.partition("=")[0].lstrip("+"), text)


def _platform_overrides(spec: TrainSpec, placement: Placement) -> Iterator[str]:
    on_cpu = value_of(spec, "device") == "cpu"
    folder = placement.run_dir
    yield "trainer.project_name=trainyard"
    yield f"trainer.experiment_name={write_value(placement.name)}"
    yield "trainer.logger=[console,file]"
    yield f"trainer.default_local_dir={write_value(f'{folder}/checkpoints')}"
    yield f"hydra.run.dir={write_value(f'{folder}/hydra')}"
    if spec.kind == "sft":
        yield "data.use_dynamic_bsz=false"  # else the micro batch would not count
        yield from CPU_SFT if on_cpu else ()
        return
    yield "algorithm.adv_estimator=grpo"
    yield "trainer.nnodes=1"
    yield f"trainer.rollout_data_dir={write_value(f'{folder}/rollouts')}"
    yield f"trainer.validation_data_dir={write_value(f'{folder}/validation')}"
    if on_cpu:
        yield from CPU_RL
        yield f"+ray_kwargs.ray_init.num_gpus={number(spec, 'gpus')}"
        if number(spec, "lora_rank", 0):
            # The CPU's rollout samples from whole weights.
            yield "actor_rollout_ref.model.lora.merge=true"


def _knob_settings(spec: TrainSpec, origins: dict[str, str]) -> Iterator[Setting]:
    for knob in knobs_of(spec.kind):
        value = value_of(spec, knob.name)
        if value is None or value == "":
            continue
        for key in knob.keys[spec.kind]:
            if key != COMMAND:
                origin = origins.get(knob.name, "recipe")
                yield Setting(key, f"{key}={write_value(value)}", origin)


def _environment(spec: TrainSpec, placement: Placement) -> dict[str, str]:
    env = {
        "HYDRA_FULL_ERROR": "1",
        "PYTHONUNBUFFERED": "1",
        "VERL_FILE_LOGGER_PATH": f"{placement.run_dir}/metrics.jsonl",
    }
    if spec.kind == "sft":
        # verl then says how many steps it will do, which the platform holds it to.
        env["VERL_SFT_LOGGING_LEVEL"] = "INFO"
    else:
        # On one machine Ray stays on the loopback address, and reports nothing to its makers.
        env |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    if value_of(spec, "device") == "cpu":
        env |= CPU_ENV
    return env
