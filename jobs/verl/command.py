"""Build the exact process of a run from its spec: the complete argv; nothing is decided later."""

from collections.abc import Iterable, Iterator, Sequence

from jobs.process import Command, Placement, Setting
from jobs.verl import cpu
from jobs.verl.algorithms import ALGORITHMS, is_rl
from jobs.verl.keys import REWARD_MODEL, ROLLOUT
from jobs.verl.knobs import COMMAND, Knob, chosen, knobs_of, number, value_of
from jobs.verl.knobs_rl import CRITIC_MICRO
from jobs.verl.overrides import write_value
from jobs.verl.releases import ENVIRONMENTS, translate
from jobs.verl.schema import load
from jobs.verl.spec import LATEST, TrainSpec, Value
from jobs.verl.unread import unread_in
from jobs.verl.variants import AGGREGATE, variant_of

# Read by trainyard_node.hooks.lost: verl hands these arguments to a sampler of the user's own.
MOST_LOST = "trainer.v1.sampler.sampler_kwargs.trainyard_most_lost"
OVERLONG = "+reward.reward_kwargs"
# Settings of the platform that only newer releases need; older releases go without them.
NEWER = frozenset({"trainer.use_v1"})
# verl sets no seed for RL, and would draw the rows of data.train_max_samples anew at each resume.
SEED = 1


def build_command(spec: TrainSpec, placement: Placement, origins: dict[str, str]) -> Command:
    """Build the command of a training run.

    ``origins`` maps a knob's name to who set it (``recipe`` or ``you``). Each key is overridden
    once, in a fixed order: the platform's settings, the method's, the knobs in the order of the
    form, then the free overrides, so that no setting of the platform can undo a user's. Raises
    ``ValueError`` for a key that ``spec.verl`` lacks; the checks report it earlier.
    """
    asked = (
        *_platform_settings(spec, placement),
        *_method_settings(spec),
        *_knob_settings(spec, placement, origins),
    )
    settings = _once([*translated(asked, spec), *_free_settings(spec)])
    argv = (*_launcher(spec, placement), *(setting.text for setting in settings))
    return Command(argv, _environment(spec, placement), placement.run_dir, settings)


def _launcher(spec: TrainSpec, placement: Placement) -> tuple[str, ...]:
    kind = ALGORITHMS[spec.kind]
    module = kind.module if spec.verl == LATEST else kind.plain_module or kind.module
    if not kind.torchrun:
        return (placement.python, "-m", module)
    ranks = f"--nproc_per_node={number(spec, 'gpus')}"
    torchrun = (placement.python, "-m", "torch.distributed.run", "--standalone", "--nnodes=1")
    return (*torchrun, ranks, "-m", module)


def _platform_settings(spec: TrainSpec, placement: Placement) -> Iterator[Setting]:
    for text in _platform_overrides(spec, placement):
        yield Setting(text.partition("=")[0].lstrip("+"), text)


def _platform_overrides(spec: TrainSpec, placement: Placement) -> Iterator[str]:
    folder = placement.run_dir
    yield "trainer.project_name=trainyard"
    yield f"trainer.experiment_name={write_value(placement.name)}"
    yield f"trainer.logger=[{','.join(('console', 'file', *chosen(spec, 'loggers')))}]"
    yield f"trainer.default_local_dir={write_value(f'{folder}/checkpoints')}"
    yield f"hydra.run.dir={write_value(f'{folder}/hydra')}"
    if placement.resume_from:
        yield "trainer.resume_mode=resume_path"
        yield f"trainer.resume_from_path={write_value(placement.resume_from)}"
    if is_rl(spec.kind):
        yield f"trainer.nnodes={placement.spread.nodes if placement.spread else 1}"
        yield from _rl_overrides(spec, folder)
    else:
        yield "data.use_dynamic_bsz=false"  # else verl ignores the micro batch size
    if value_of(spec, "device") == "cpu":
        yield from cpu.overrides(spec, own_ray=placement.spread is None)


def _rl_overrides(spec: TrainSpec, folder: str) -> Iterator[str]:
    yield f"data.seed={SEED}"
    yield f"trainer.rollout_data_dir={write_value(f'{folder}/rollouts')}"
    yield f"trainer.validation_data_dir={write_value(f'{folder}/validation')}"
    if number(spec, "lora_rank", 0) and value_of(spec, "engine") != "hf":
        # The engine must load the base model itself: it is sent the adapter only.
        yield f"{ROLLOUT}.load_format=safetensors"
    if spec.kind == "ppo":
        yield f"critic.model.path={_written(spec, 'model_path')}"
        for key in CRITIC_MICRO:
            yield f"{key}={_written(spec, 'micro_batch_size')}"
        yield "critic.fsdp.use_dynamic_bsz=false"  # else verl ignores the micro batch size
        if number(spec, "sequence_parallel") > 1:
            yield "critic.model.use_remove_padding=true"  # 0.7 leaves it off, then refuses
    if value_of(spec, "reward_model"):
        yield f"{REWARD_MODEL}.enable=true"
        yield f"{REWARD_MODEL}.rollout.name={_written(spec, 'engine')}"
        yield f"{REWARD_MODEL}.rollout.tensor_model_parallel_size=1"
    if (most := value_of(spec, "most_lost")) is not None:
        yield f"+{MOST_LOST}={write_value(most)}"
    if value_of(spec, "overlong_buffer"):
        yield from _overlong_overrides(spec)


def _overlong_overrides(spec: TrainSpec) -> Iterator[str]:
    penalty = value_of(spec, "overlong_penalty")
    yield "reward.reward_manager.name=dapo"
    yield f"{OVERLONG}.max_resp_len={_written(spec, 'max_response_length')}"
    yield f"{OVERLONG}.overlong_buffer_cfg.enable=true"
    yield f"{OVERLONG}.overlong_buffer_cfg.len={_written(spec, 'overlong_buffer')}"
    yield f"{OVERLONG}.overlong_buffer_cfg.penalty_factor={1.0 if penalty is None else penalty}"
    yield f"{OVERLONG}.overlong_buffer_cfg.log=true"


def _written(spec: TrainSpec, name: str) -> str:
    return write_value(spec.values.get(name, ""))


def _method_settings(spec: TrainSpec) -> Iterator[Setting]:
    variant = variant_of(spec.kind, value_of(spec, "variant"))
    for key, value in variant.settings.items() if variant else ():
        yield _setting(key, value, "method")
        if key == AGGREGATE and value == "seq-mean-token-sum-norm":
            # verl would divide by the longest answer of each micro batch, which is not a constant.
            longest = number(spec, "max_response_length")
            yield _setting("actor_rollout_ref.actor.loss_scale_factor", longest, "method")


def _setting(key: str, value: Value, origin: str) -> Setting:
    return Setting(key, f"{key}={write_value(value)}", origin)


def _knob_settings(
    spec: TrainSpec, placement: Placement, origins: dict[str, str]
) -> Iterator[Setting]:
    for knob in knobs_of(spec.kind):
        value = value_of(spec, knob.name)
        if placement.spread and knob.name == "gpus":
            value = placement.spread.per_node
        if value is None or value == "":
            continue
        for key in knob.keys[spec.kind]:
            if key != COMMAND:
                yield Setting(
                    key, f"{key}={_knob_text(knob, value)}", origins.get(knob.name, "recipe")
                )


def _knob_text(knob: Knob, value: Value) -> str:
    if knob.offset and isinstance(value, int):
        value += knob.offset
    return f"[{value}]" if knob.type is list else write_value(value)


def _free_settings(spec: TrainSpec) -> Iterator[Setting]:
    for text in spec.overrides:
        yield Setting(text.partition("=")[0].lstrip("+~"), text, "you")


def translated(settings: Iterable[Setting], spec: TrainSpec) -> Iterator[Setting]:
    """The settings as the release that will run them names them."""
    unread = {each.node for each in unread_in(spec)}
    for setting in settings:
        if setting.key in unread:
            continue
        found = translate(setting.key, spec.kind, spec.verl)
        if found.key is not None:
            known = load(ENVIRONMENTS, spec.kind, spec.verl)
            yield _renamed(setting, found.key, adds=not known.takes(found.key, adds=False))
        elif setting.key not in NEWER:
            raise ValueError(f"verl {spec.verl} has no {setting.key}: {found.reason}")


def _renamed(setting: Setting, key: str, *, adds: bool) -> Setting:
    plus = "+" if adds else ""
    return Setting(key, f"{plus}{key}={setting.text.partition('=')[2]}", setting.origin)


def _once(settings: Sequence[Setting]) -> tuple[Setting, ...]:
    """Keep each key once: the last setting of it, at that setting's own place."""
    last = {setting.key: place for place, setting in enumerate(settings)}
    return tuple(setting for place, setting in enumerate(settings) if last[setting.key] == place)


def _environment(spec: TrainSpec, placement: Placement) -> dict[str, str]:
    env = {
        "HYDRA_FULL_ERROR": "1",
        "PYTHONUNBUFFERED": "1",
        "VERL_FILE_LOGGER_PATH": f"{placement.run_dir}/metrics.jsonl",
    }
    if is_rl(spec.kind):
        several = "1" if placement.spread else "0"
        # On one machine Ray stays on the loopback address, and sends no usage reports.
        env |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": several}
    else:
        # With this, verl prints its number of steps, and the platform checks the run against it.
        env["VERL_SFT_LOGGING_LEVEL"] = "INFO"
    if "tensorboard" in chosen(spec, "loggers"):
        env["TENSORBOARD_DIR"] = f"{placement.run_dir}/tensorboard"
    if "trackio" in chosen(spec, "loggers"):
        env["TRACKIO_DIR"] = f"{placement.run_dir}/trackio"
    if value_of(spec, "device") == "cpu":
        env |= cpu.environment(spec.kind)
    elif placement.devices and placement.spread is None:
        # Otherwise CUDA numbers GPUs by speed, while the driver numbers them by PCI bus.
        devices = ",".join(map(str, placement.devices))
        env |= {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": devices}
    return env
