"""The releases of verl that a run may have, and what one calls the keys of another.

Knobs are written in the keys of the newest release. ``translate`` gives an older release's name for
a key, or the reason why that release cannot do it.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobs.verl.keys import ACTOR
from jobs.verl.renames import below, is_unread, under_another_name
from jobs.verl.schema import Schema, load

RELEASES = ("0.7.1", "0.8.0", "0.9.1")
ENVIRONMENTS = Path(__file__).resolve().parents[2] / "environments"
BEFORE_09 = ("0.7.1", "0.8.0")


@dataclass(frozen=True)
class Translation:
    """``key`` as the release names it; None with a ``reason`` where it has no such key."""

    key: str | None
    reason: str = ""


@dataclass(frozen=True)
class Lacks:
    """Keys that a release does not act on; ``reason`` also says what can be done instead."""

    node: str
    releases: tuple[str, ...]
    reason: str


LACKS = (
    # trainer/config/algorithm.py has the field, but only the replay buffer of 0.9 reads it.
    Lacks("algorithm.filter_groups", BEFORE_09,
          "its trainer never drops groups. Leave dynamic sampling out, or run verl 0.9.1."),
    Lacks("actor_rollout_ref.model.lora", ("0.7.1",), "set LoRA by lora_rank and lora_alpha."),
    Lacks("critic.model.lora", ("0.7.1",), "set LoRA by lora_rank and lora_alpha."),
    Lacks("model.lora", ("0.7.1",), "set LoRA by lora_rank and lora_alpha."),
    Lacks("trainer.use_v1", BEFORE_09, "it has one trainer, the former one. Leave it out."),
    Lacks("trainer.v1", BEFORE_09, "it has no V1 trainer. Leave it out, or run verl 0.9.1."),
)  # fmt: skip

NOT_THERE: Mapping[str, tuple[str, ...]] = {"dpo": BEFORE_09}
DPO_REASON = "the DPO trainer is made for verl 0.9's model engine; run verl 0.9.1."
CPU_REASON = "training on the CPU needs the plug-in points of verl 0.9; run verl 0.9.1."


@dataclass(frozen=True)
class Change:
    """A setting of the same name that differs between releases.

    ``defaults`` maps a release to its default; ``meaning`` says what else differs, with the place
    in verl where this was read.
    """

    key: str
    meaning: str
    defaults: Mapping[str, Any] = field(default_factory=dict)


def _defaults(first: Any, second: Any, third: Any) -> Mapping[str, Any]:
    return dict(zip(RELEASES, (first, second, third), strict=True))


CHANGES = (
    Change("actor_rollout_ref.rollout.calculate_log_probs",
           "On, the rollout's log-probabilities come back with the answers, and a step reports "
           "training/rollout_probs_diff_*. Rollout correction needs it (rollout_corr_helper.py).",
           _defaults(False, False, True)),
    Change("actor_rollout_ref.rollout.max_num_seqs",
           "Sequences in one engine at once: 0.9 holds a quarter of them.",
           _defaults(1024, 1024, 256)),
    Change("critic.model.use_remove_padding",
           "Packed sequences in the critic need FlashAttention.", _defaults(False, True, True)),
    Change("critic.model.tokenizer_path",
           "0.7 takes the actor's folder; later the critic's own.",
           _defaults('${oc.select:actor_rollout_ref.model.path,"~/models/deepseek-llm-7b-chat"}',
                     None, None)),
    Change("critic.model.trust_remote_code",
           "0.7 does as the actor does; later it must be set for the critic too.",
           _defaults("${oc.select:actor_rollout_ref.model.trust_remote_code,false}",
                     False, False)),
    Change(f"{ACTOR}.fsdp_config.entropy_checkpointing",
           "0.9 takes the actor's own setting; before, the engine looks at this key only.",
           _defaults(False, False, "${oc.select:actor_rollout_ref.actor.entropy_checkpointing,"
                                   "False}")),
    Change(f"{ACTOR}.grad_clip",
           "0.7 clips by it in its former workers (workers/actor/dp_actor.py), which it takes "
           "unless trainer.use_legacy_worker_impl is disable. The model engine of 0.8 and 0.9 "
           "clips by actor.optim.clip_grad (workers/engine/fsdp/transformer_impl.py).",
           _defaults(1.0, 1.0, 1.0)),
    Change(f"{ACTOR}.kl_loss_type",
           "The forms with a plus, which take k2's gradient, work from 0.8 on: in 0.7.1 "
           "core_algos.kl_penalty_forward is given the plus and knows no such name.",
           _defaults("low_var_kl", "low_var_kl", "low_var_kl")),
    Change(f"{ACTOR}.loss_agg_mode", "token-sum came with 0.9 (workers/config/actor.py).",
           _defaults("token-mean", "token-mean", "token-mean")),
    Change("custom_reward_function.path",
           "0.7 and 0.8 move it to reward.custom_reward_function.path; 0.9 takes it and does not "
           "read it, nor reward_model.* and sandbox_fusion.* (trainer/main_ppo.py).",
           _defaults(None, None, None)),
)  # fmt: skip


def left_to(release: str, kind: str, given: Collection[str]) -> Iterator[str]:
    """A sentence for each setting that is not in ``given`` (keys of the release) and whose default
    differs from the newest release's, so that nobody takes them for the same."""
    known = load(ENVIRONMENTS, kind, release).keys if not refusal(kind, release) else {}
    for change in CHANGES:
        theirs, newest = change.defaults.get(release), change.defaults[RELEASES[-1]]
        if change.key in known and change.key not in given and theirs != newest:
            yield (
                f"{change.key} is left to verl {release}, where it is {_shown(theirs)}; in "
                f"{RELEASES[-1]} it is {_shown(newest)}. {change.meaning}"
            )


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "not set" if value is None else str(value)


def refusal(kind: str, release: str, device: str = "cuda") -> str | None:
    """The reason why a release cannot run a kind or train on a device; None when it can."""
    if release not in RELEASES:
        return f"There is no verl {release} here. There are: {', '.join(RELEASES)}."
    if release in NOT_THERE.get(kind, ()):
        return f"verl {release} cannot run {kind.upper()}: {DPO_REASON}"
    if device == "cpu" and release in BEFORE_09:
        return f"verl {release} cannot run here: {CPU_REASON}"
    return None


def translate(key: str, kind: str, release: str, environments: Path = ENVIRONMENTS) -> Translation:
    """The name that ``release`` has for ``key``, which is a key of the newest release.

    Keys that are added with a plus are given without it. Raises ``ValueError`` for a release that
    is not supported.
    """
    reason = refusal(kind, release)
    if release not in RELEASES:
        raise ValueError(reason)
    if reason:
        return Translation(None, reason)
    for lacks in LACKS:
        if release in lacks.releases and below(key, lacks.node):
            return Translation(None, f"verl {release} has no {key}: {lacks.reason}")
    return _found(key, kind, release, environments)


def _found(key: str, kind: str, release: str, environments: Path) -> Translation:
    schema = load(environments, kind, release)
    if _reads(schema, key):
        return Translation(key)
    name = under_another_name(key, release)
    if name and _reads(schema, name):
        return Translation(name)
    since = _first_with(key, kind, environments)
    what = f"it came with {since}. Leave it out, or run verl {since}" if since else "no release has"
    return Translation(None, f"verl {release} has no {key}: {what}.")


def _reads(schema: Schema, key: str) -> bool:
    return schema.takes(key, adds=True) and not is_unread(key, schema.verl, schema.keys)


def _first_with(key: str, kind: str, environments: Path) -> str | None:
    there = (release for release in RELEASES if not refusal(kind, release))
    return next((r for r in there if _reads(load(environments, kind, r), key)), None)
