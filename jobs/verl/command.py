"""From a spec to the exact process: the argv that runs, with nothing decided later."""

from collections.abc import Iterator

from jobs.verl.knobs import COMMAND, knobs_of, number, value_of
from jobs.verl.overrides import write_value
from jobs.verl.spec import Command, Placement, Setting, TrainSpec, Value

RL_MODULE = "verl.trainer.main_ppo"
SFT_MODULE = "verl.trainer.sft_trainer"

# What a run on the CPU needs beside the plug-in that VERL_PLATFORM=cpu loads.
CPU_SFT: tuple[tuple[str, Value], ...] = (
    ("trainer.device", "cpu"),
    ("engine.strategy", "fsdp2"),
    ("engine.use_torch_compile", False),
    ("model.use_remove_padding", False),
    ("+model.override_config.attn_implementation", "sdpa"),
    ("data.use_dynamic_bsz", False),
    ("data.num_workers", 0),
)
CPU_RL: tuple[tuple[str, Value], ...] = (
    ("trainer.device", "cpu"),
    ("actor_rollout_ref.actor.strategy", "fsdp2"),
    ("actor_rollout_ref.actor.use_torch_compile", False),
    ("actor_rollout_ref.actor.fsdp_config.use_torch_compile", False),
    ("actor_rollout_ref.model.use_remove_padding", False),
    ("+actor_rollout_ref.model.override_config.attn_implementation", "sdpa"),
    ("actor_rollout_ref.rollout.agent.num_workers", 1),
    ("data.dataloader_num_workers", 0),
    ("reward.num_workers", 1),
    # Too few logical CPUs for the storage actors hang the run without a word.
    ("transfer_queue.backend.SimpleStorage.num_data_storage_units", 1),
    ("ray_kwargs.ray_init.num_cpus", 32),
)


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
    for key, value in _platform_values(spec, placement):
        yield Setting(key.lstrip("+"), f"{key}={write_value(value)}")


def _platform_values(spec: TrainSpec, placement: Placement) -> Iterator[tuple[str, Value]]:
    on_cpu = value_of(spec, "device") == "cpu"
    yield "trainer.project_name", "trainyard"
    yield "trainer.experiment_name", placement.name
    yield "trainer.logger", "[console,file]"
    yield "trainer.default_local_dir", f"{placement.run_dir}/checkpoints"
    if spec.kind == "sft":
        yield from CPU_SFT if on_cpu else ()
        return
    yield "algorithm.adv_estimator", "grpo"
    yield "trainer.nnodes", 1
    yield "trainer.rollout_data_dir", f"{placement.run_dir}/rollouts"
    yield "trainer.validation_data_dir", f"{placement.run_dir}/validation"
    if on_cpu:
        yield from CPU_RL
        yield "+ray_kwargs.ray_init.num_gpus", number(spec, "gpus")


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
        "RAY_USAGE_STATS_ENABLED": "0",
        "VERL_FILE_LOGGER_PATH": f"{placement.run_dir}/metrics.jsonl",
    }
    if spec.kind == "sft":
        # verl then says how many steps it will do, which the platform holds it to.
        env["VERL_SFT_LOGGING_LEVEL"] = "INFO"
    if value_of(spec, "device") == "cpu":
        env |= {"VERL_PLATFORM": "cpu", "HF_HUB_OFFLINE": "1"}
    return env
