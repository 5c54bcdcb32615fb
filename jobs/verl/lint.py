"""Find settings that need another one, without which verl would refuse or ignore them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jobs.process import Placement, Setting
from jobs.verl.choices import REWARD_MANAGERS, outside
from jobs.verl.command import build_command
from jobs.verl.keys import ACTOR, MODEL, REWARD_MODEL, ROLLOUT
from jobs.verl.knobs import find
from jobs.verl.overrides import readable
from jobs.verl.schema import Schema
from jobs.verl.spec import Problem, TrainSpec

Test = Callable[[Any], bool]


@dataclass(frozen=True)
class Need:
    """If ``when`` is true of ``key``, ``holds`` must be true of ``other``; ``message`` says why."""

    key: str
    when: Test
    other: str
    holds: Test
    message: str


def _is(*wanted: Any) -> Test:
    return lambda value: value in wanted


def _is_not(default: Any) -> Test:
    return lambda value: value not in (None, "", default)


def _above(limit: float) -> Test:
    return lambda value: isinstance(value, int | float) and value > limit


def _given(value: Any) -> bool:
    return value not in (None, "", [], {})


NEEDS = (
    # trainer/ppo/core_algos.py: compute_policy_loss_dro
    Need(f"{ACTOR}.policy_loss.loss_mode", _is("dro"), f"{ACTOR}.policy_loss.dro_beta", _above(0),
         "the DRO loss divides by it: set it above 0"),
    # trainer/ppo/core_algos.py: compute_gdpo_outcome_advantage
    Need("algorithm.adv_estimator", _is("gdpo"), "algorithm.gdpo_reward_keys", _given,
         "GDPO asks for the parts of the reward: write +algorithm.gdpo_reward_keys=[…]"),
    # trainer/ppo/v1/trainer_base.py: _compute_advantage hands them neither the reward's parts nor
    # the sum of squared probabilities
    Need("algorithm.adv_estimator",
         _is("gdpo", "optimal_token_baseline", "tir_optimal_token_baseline"), "trainer.use_v1",
         _is(False, None), "the V1 trainer would stop at its first step"),
    # trainer/ppo/rollout_corr_helper.py
    Need("algorithm.rollout_correction.rollout_is", _given, f"{ROLLOUT}.calculate_log_probs",
         _is(True), "the correction compares with the rollout's log-probabilities: set it to true"),
    # workers/config/actor.py, workers/engine/fsdp/transformer_impl.py
    Need(f"{ACTOR}.ulysses_sequence_parallel_size", _above(1), f"{MODEL}.use_remove_padding",
         _is(True), "sequence parallelism needs packed sequences: set it to true"),
    Need("critic.fsdp.ulysses_sequence_parallel_size", _above(1), "critic.model.use_remove_padding",
         _is(True), "sequence parallelism needs packed sequences: set it to true"),
    # workers/config/critic.py: off by default in 0.7.1
    Need("critic.ulysses_sequence_parallel_size", _above(1), "critic.model.use_remove_padding",
         _is(True), "sequence parallelism needs packed sequences: set it to true"),
    Need("engine.ulysses_sequence_parallel_size", _above(1), "model.use_remove_padding",
         _is(True), "sequence parallelism needs packed sequences: set it to true"),
    # utils/config.py: validate_config
    Need(f"{ROLLOUT}.val_kwargs.do_sample", _is(True), f"{ROLLOUT}.temperature", _above(0),
         "validation that samples needs a temperature above 0"),
    # workers/config/reward.py
    Need("reward.reward_manager.source", _is("importlib"), "reward.reward_manager.module.path",
         _given, "the manager is taken from a file: name it"),
    # experimental/reward_loop/reward_model.py
    Need(f"{REWARD_MODEL}.enable", _is(True), f"{REWARD_MODEL}.model_path", _given,
         "a reward model is switched on: name its folder"),
    Need(f"{REWARD_MODEL}.enable_resource_pool", _is(True), f"{REWARD_MODEL}.n_gpus_per_node",
         _above(0), "the reward model has GPUs of its own: say how many"),
    Need("reward.custom_reward_function.name", _is_not("compute_score"),
         "reward.custom_reward_function.path", _given, "a function is named without its file"),
    # utils/import_utils.py: load_extern_object
    Need("data.custom_cls.path", _given, "data.custom_cls.name", _given,
         "the file is named, but not which class in it"),
    Need("data.custom_cls.name", _given, "data.custom_cls.path", _given,
         "the class is named, but not its file"),
    # workers/config/rollout.py
    Need(f"{ROLLOUT}.disaggregation.enabled", _is(True), f"{ROLLOUT}.name", _is("vllm", "sglang"),
         "prefill and decode apart are for vllm and sglang only"),
)  # fmt: skip


def check_companions(
    spec: TrainSpec, schema: Schema, settings: Iterable[Setting] | None = None
) -> Iterator[Problem]:
    """Problems of settings whose companion is missing in a run's whole command, whose ``settings``
    may be known already.

    Raises ``ValueError`` as ``build_command`` does.
    """
    if settings is None:
        settings = build_command(spec, Placement("", "", ""), {}).settings
    overrides = readable(setting.text for setting in settings)
    values = {override.key: override.value for override in overrides}
    for key, message in companions(values, schema):
        knob = find(spec.kind, key)
        yield Problem(knob.name if knob else "overrides", message)


def companions(values: Mapping[str, Any], schema: Schema) -> Iterator[tuple[str, str]]:
    """For each setting whose companion is missing: its key, and a message.

    ``values`` maps the keys of a whole command to their parsed values; an absent key counts with
    the release's default. Defaults that only a run can resolve are accepted.
    """
    for need in NEEDS:
        asked, other = values.get(need.key), _value(need.other, values, schema)
        if asked is None or not need.when(asked) or need.holds(other) or "${" in str(other):
            continue
        yield need.key, f"{need.key}={asked} needs {need.other}: {need.message}."
    yield from _reward_manager(values, schema)


def _value(key: str, values: Mapping[str, Any], schema: Schema) -> Any:
    return values[key] if key in values else schema.keys.get(key, {}).get("default")


def _reward_manager(values: Mapping[str, Any], schema: Schema) -> Iterator[tuple[str, str]]:
    [key] = REWARD_MANAGERS.keys
    name, source = values.get(key), _value("reward.reward_manager.source", values, schema)
    if name is not None and source == "register" and outside(name, REWARD_MANAGERS, schema.verl):
        known = ", ".join(REWARD_MANAGERS.of(schema.verl))
        yield key, f"{key} takes {known}; for your own set reward.reward_manager.source=importlib."
