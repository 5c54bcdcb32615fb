"""Keys that a release of verl has in its configuration, and that change nothing in a run.

A key of a knob that the release does not read is left out of the command; a free override of one
gets a warning. ``place`` is where this was read in verl. ``tests/node/test_read_keys.py`` holds the
list to what real runs read.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from jobs.verl.algorithms import ALGORITHMS, RL, SUPERVISED, is_rl
from jobs.verl.keys import ACTOR, REF, ROLLOUT
from jobs.verl.overrides import readable
from jobs.verl.releases import RELEASES
from jobs.verl.renames import below
from jobs.verl.spec import LATEST, TrainSpec
from jobs.verl.variants import ESTIMATOR, LOSS_MODE, variant_of
from jobs.warning import FieldWarning

NEWER = RELEASES[1:]
FSDP = "workers/engine/fsdp/transformer_impl.py"
BASE = "trainer/ppo/v1/trainer_base.py"


@dataclass(frozen=True)
class Unread:
    """A key, or a node with all keys below it. ``instead`` says what decides in its place.

    ``is_taken``: verl looks at it, or copies it, and then nothing depends on it.
    """

    node: str
    instead: str
    place: str
    releases: tuple[str, ...] = (LATEST,)
    is_taken: bool = False
    kinds: tuple[str, ...] = tuple(ALGORITHMS)


def _nowhere(*nodes: str) -> tuple[Unread, ...]:
    """Nothing but the configuration names these."""
    return tuple(Unread(node, "", "workers/config, trainer/config") for node in nodes)


PRECISION = tuple(
    Unread(f"{node}.dtype", f"Write +{node}.mixed_precision.param_dtype.", FSDP, NEWER)
    for node in ("engine", f"{ACTOR}.fsdp_config", f"{REF}.fsdp_config", "critic.fsdp")
)
UNREAD = (
    *PRECISION,
    Unread(f"{ACTOR}.grad_clip", f"Write {ACTOR}.optim.clip_grad.", FSDP, NEWER),
    Unread("critic.grad_clip", "Write critic.optim.clip_grad.", FSDP, NEWER),
    Unread("critic.use_dynamic_bsz", "Write +critic.fsdp.use_dynamic_bsz.",
           "workers/config/critic.py checks by it alone", NEWER, is_taken=True),
    Unread("critic.ulysses_sequence_parallel_size",
           "Write critic.fsdp.ulysses_sequence_parallel_size.",
           "workers/config/critic.py checks by it alone", NEWER, is_taken=True),
    Unread(f"{REF}.fsdp_config.param_offload", "FSDP always offloads the reference.", FSDP, NEWER,
           is_taken=True),
    Unread(f"{ROLLOUT}.val_kwargs.do_sample", "The temperature decides.",
           "trainer/ppo/v1/agent_loop_tq.py; utils/config.py checks it", is_taken=True),
    Unread(f"{ROLLOUT}.do_sample", "The temperature decides.", "trainer/ppo/v1/agent_loop_tq.py"),
    *_nowhere(
        "critic.forward_max_token_len_per_gpu", "critic.forward_micro_batch_size",
        "critic.forward_micro_batch_size_per_gpu",
        f"{ACTOR}.freeze_vision_tower", f"{ACTOR}.use_rollout_log_probs",
        f"{ROLLOUT}.multi_turn.use_inference_chat_template",
        f"{ROLLOUT}.multi_turn.tokenization_sanity_check_mode",
        f"{ROLLOUT}.multi_turn.num_repeat_rollouts",
        f"{ROLLOUT}.over_sample_rate", f"{ROLLOUT}.agent.custom_async_server",
        "actor_rollout_ref.nccl_timeout",
    ),
    Unread("data.truncation", "A prompt that is too long ends the run, or is left out.",
           "experimental/agent_loop/agent_loop.py", is_taken=True, kinds=RL),
    Unread("data.reward_fn_key", "", "trainer/config/data", kinds=RL),
    Unread("data.return_raw_input_ids", "", "trainer/config/data", kinds=RL),
    *(Unread(f"data.return_{name}", "", "utils/dataset/rl_dataset.py keeps it", is_taken=True,
             kinds=RL)
      for name in ("raw_chat", "full_prompt", "multi_modal_inputs")),
    Unread("trainer.balance_batch", "", "trainer/sft_trainer_ray.py alone reads it",
           kinds=SUPERVISED),
    Unread("trainer.seed", "The order of the rows is always that of seed 0.",
           "trainer/sft_trainer.py", RELEASES, kinds=("sft",)),
)  # fmt: skip
# The former trainer (trainer/ppo/ray_trainer.py) goes by these.
UNREAD_IN_V1 = (
    Unread("critic.ppo_max_token_len_per_gpu",
           "Write +critic.ppo_infer_max_token_len_per_gpu.", BASE),
    Unread("algorithm.filter_groups.max_num_gen_batches",
           "Write trainer.v1.sampler.max_inflight_gen_batches.", BASE, is_taken=True),
    Unread(f"{ROLLOUT}.trace", "V1 traces no answer.", "trainer/ppo/v1/agent_loop_tq.py",
           is_taken=True),
    Unread("trainer.balance_batch", "The batch is always balanced.", BASE),
    *_nowhere(
        f"{ACTOR}.use_prefix_grouper", f"{ROLLOUT}.multi_turn.enable",
        f"{ROLLOUT}.checkpoint_manager_class", "trainer.esi_redundant_time",
        "trainer.ray_wait_register_center_timeout",
    ),
)  # fmt: skip
# By the policy loss: the knobs of clipping that it does not read.
DUAL = ("clip_ratio_c",)
IDLE = {
    "gspo": DUAL, "cispo": DUAL, "geo_mean": DUAL,
    "gpg": ("clip_ratio", "clip_ratio_low", "clip_ratio_high", *DUAL),
}  # fmt: skip
NORMALISES = ("grpo", "grpo_passk")


def unread_in(spec: TrainSpec) -> Iterator[Unread]:
    """What a run does not go by."""
    of_v1 = UNREAD_IN_V1 if is_rl(spec.kind) and not runs_former_trainer(spec) else ()
    known = (each for each in (*UNREAD, *of_v1) if spec.verl in each.releases)
    return (each for each in known if spec.kind in each.kinds)


def runs_former_trainer(spec: TrainSpec) -> bool:
    """Whether verl's trainer from before V1 does the run."""
    given = {override.key: override.value for override in readable(spec.overrides)}
    by_method = spec.kind == "grpo" and spec.values.get("variant") == "remax"
    return spec.verl != LATEST or not given.get("trainer.use_v1", not by_method)


def without_effect(spec: TrainSpec) -> Iterator[FieldWarning]:
    """A warning of each knob and each free override that changes nothing."""
    yield from _idle_knobs(spec)
    for override in readable(spec.overrides):
        for unread in unread_in(spec):
            if below(override.key, unread.node):
                said = f"{override.key} changes nothing: verl {spec.verl} does not go by it."
                message = f"{said} {unread.instead}".strip()
                yield FieldWarning("overrides", message, "Further overrides")


def _idle_knobs(spec: TrainSpec) -> Iterator[FieldWarning]:
    """Knobs that the method of a run does not go by (trainer/ppo/core_algos.py)."""
    variant = variant_of(spec.kind, spec.values.get("variant"))
    if variant is None:
        return
    given = {override.key: override.value for override in readable(spec.overrides)}
    settings = {**variant.settings, **given}
    idle = list(IDLE.get(str(settings.get(LOSS_MODE)), ()))
    if settings.get(ESTIMATOR) not in NORMALISES:
        idle.append("norm_adv_by_std")
    for name in idle:
        if spec.values.get(name) is not None:
            yield FieldWarning(name, f"It changes nothing: {variant.label} does not go by it.")
