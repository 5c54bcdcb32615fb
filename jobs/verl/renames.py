"""Settings whose name differs between releases of verl, found in the releases' code."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from jobs.verl.keys import ROLLOUT


@dataclass(frozen=True)
class Moved:
    """A key, or a node with all keys below it. ``names`` maps a release to its name there.

    ``former`` are names from before the first release, or names that a release accepts but never
    reads.
    """

    names: Mapping[str, str]
    former: tuple[str, ...] = ()


def _everywhere(name: str, *former: str) -> Moved:
    return Moved(dict.fromkeys(("0.7.1", "0.8.0", "0.9.1"), name), former)


MOVED = (
    # workers/config/critic.py: the critic became one of the engine's workers.
    Moved({
        "0.7.1": "critic.model.fsdp_config", "0.8.0": "critic.fsdp", "0.9.1": "critic.fsdp"
    }),
    # utils/rollout_skip.py, later utils/skip: answers that are stored and reused.
    Moved({
        "0.7.1": f"{ROLLOUT}.skip_rollout", "0.8.0": f"{ROLLOUT}.skip.enable",
        "0.9.1": "skip.rollout_tq.enable",
    }),
    Moved({
        "0.7.1": f"{ROLLOUT}.skip_dump_dir", "0.8.0": f"{ROLLOUT}.skip.dump_dir",
        "0.9.1": "skip.rollout_tq.dump_dir",
    }),
    Moved({"0.8.0": f"{ROLLOUT}.skip.action", "0.9.1": "skip.rollout_tq.action"}),
    # experimental/reward_loop: migrate_legacy_reward_impl lists the new name of each.
    _everywhere("reward.custom_reward_function", "custom_reward_function"),
    _everywhere("reward.sandbox_fusion", "sandbox_fusion"),
    _everywhere("reward.num_workers", "reward_model.num_workers"),
    _everywhere("reward.reward_manager.name", "reward_model.reward_manager"),
    _everywhere("reward.reward_manager.source", "reward_model.reward_loop_source"),
    _everywhere("reward.reward_manager.module.path", "reward_model.reward_loop_module_path"),
    _everywhere("reward.reward_manager.module.name", "reward_model.reward_loop_class_name"),
    _everywhere("reward.reward_kwargs", "reward_model.reward_kwargs"),
    _everywhere("reward.reward_model.model_path", "reward_model.model.path"),
    _everywhere("reward.reward_model.rollout", "reward_model.rollout"),
    _everywhere("reward.reward_model", "reward_model"),
    # trainer/config/sft_trainer.yaml of fsdp_sft_trainer, which 0.7.1 no longer has.
    _everywhere("model.path", "model.partial_pretrain"),
    _everywhere("model.use_remove_padding", "use_remove_padding"),
    _everywhere("engine.ulysses_sequence_parallel_size", "ulysses_sequence_parallel_size"),
    _everywhere("engine.param_offload", "model.fsdp_config.offload_params"),
    _everywhere("engine", "model.fsdp_config"),
    _everywhere("optim.lr_warmup_steps_ratio", "optim.warmup_steps_ratio"),
    _everywhere("optim.lr_scheduler_type", "optim.lr_scheduler"),
    _everywhere("data.messages_key", "data.multiturn.messages_key"),
    _everywhere("trainer.resume_from_path", "trainer.resume_path"),
)  # fmt: skip

# Releases that still copy the former reward keys to the current ones (trainer/main_ppo.py calls
# migrate_legacy_reward_impl). Later releases accept the former keys but never read them.
MOVES_REWARD_KEYS = ("0.7.1", "0.8.0")
REWARD_KEYS = ("custom_reward_function", "reward_model", "sandbox_fusion")


def below(key: str, node: str) -> bool:
    """True when ``key`` is ``node`` or lies below it."""
    return key == node or key.startswith(f"{node}.")


def under_another_name(key: str, release: str) -> str | None:
    """The name in ``release`` of a key that another release, or an older one, calls ``key``."""
    for moved in MOVED:
        name = moved.names.get(release)
        for other in (*moved.names.values(), *moved.former):
            if name and other != name and below(key, other):
                return name + key[len(other) :]
    return None


def is_unread(key: str, release: str, known: Collection[str]) -> bool:
    """True for a reward key that is in the release's configuration but never read."""
    former = any(below(key, node) for node in REWARD_KEYS)
    return former and release not in MOVES_REWARD_KEYS and key in known
