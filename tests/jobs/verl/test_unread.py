"""What verl has in its configuration and does not go by: left out of commands, warned of."""

from typing import Any

import pytest

from jobs.process import Placement
from jobs.verl.algorithms import ALGORITHMS
from jobs.verl.command import build_command
from jobs.verl.releases import ENVIRONMENTS
from jobs.verl.schema import load
from jobs.verl.spec import TrainSpec
from jobs.verl.unread import UNREAD, UNREAD_IN_V1, unread_in, without_effect
from tests.factories import grpo_spec, sft_spec, spec_of

PLACEMENT = Placement("/runs/1/attempt-1", "/venv/bin/python", "tiny-1234")
REF = "actor_rollout_ref.ref.fsdp_config"


def overrides(spec: TrainSpec) -> set[str]:
    return {setting.text for setting in build_command(spec, PLACEMENT, {}).settings}


def test_each_is_a_key_of_some_trainer() -> None:
    schemas = {kind: load(ENVIRONMENTS, kind) for kind in ALGORITHMS}
    for each in (*UNREAD, *UNREAD_IN_V1):
        assert any(schemas[kind].takes(each.node, adds=True) for kind in each.kinds), each.node


def test_precision_is_asked_of_every_model() -> None:
    on_gpu = {"device": "cuda", "engine": "vllm", "dtype": "float16"}
    dtype = "mixed_precision.param_dtype=float16"
    assert overrides(spec_of("ppo", **on_gpu)) >= {
        f"+actor_rollout_ref.actor.fsdp_config.{dtype}", f"+{REF}.{dtype}",
        f"+critic.fsdp.{dtype}", "actor_rollout_ref.rollout.dtype=float16",
    }  # fmt: skip
    for kind in ("sft", "dpo"):
        assert f"+engine.{dtype}" in overrides(spec_of(kind, device="cuda", dtype="float16"))
    on_cpu = overrides(grpo_spec())
    assert f"+{REF}.mixed_precision.param_dtype=float32" in on_cpu


def test_an_older_release_gets_the_keys_that_it_reads() -> None:
    asked: dict[str, Any] = {"device": "cuda", "engine": "vllm", "dtype": "float16"}
    asked |= {"clip_grad": 0.5, "gpus": 2, "sequence_parallel": 2}
    former = overrides(spec_of("ppo", verl="0.7.1", **asked))
    assert former >= {
        f"{REF}.dtype=float16", "critic.grad_clip=0.5",
        "+critic.model.fsdp_config.mixed_precision.param_dtype=float16",
        "critic.ulysses_sequence_parallel_size=2",
    }  # fmt: skip
    newest = overrides(spec_of("ppo", **asked))
    assert newest >= {"critic.optim.clip_grad=0.5", "critic.fsdp.ulysses_sequence_parallel_size=2"}
    unread = {each.node for each in unread_in(spec_of("ppo"))}
    assert unread.isdisjoint(text.partition("=")[0] for text in newest)


def test_the_critic_takes_as_many_rows_as_were_asked_for() -> None:
    fixed = overrides(spec_of("ppo", critic_micro_batch_size=16))
    assert fixed >= {
        "critic.ppo_micro_batch_size_per_gpu=16", "+critic.fsdp.use_dynamic_bsz=false",
        "+critic.fsdp.micro_batch_size_per_gpu=16",
        "+critic.fsdp.infer_micro_batch_size_per_gpu=16",
    }  # fmt: skip
    actors = spec_of("ppo").values["micro_batch_size"]
    assert f"+critic.fsdp.micro_batch_size_per_gpu={actors}" in overrides(spec_of("ppo"))
    filled = overrides(spec_of("ppo", dynamic_batch=True, max_tokens_per_gpu=512))
    assert filled >= {
        "+critic.fsdp.use_dynamic_bsz=true", "+critic.ppo_infer_max_token_len_per_gpu=512",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("trainer.balance_batch=false", "verl 0.9.1 does not go by it. The batch is always"),
        ("actor_rollout_ref.rollout.do_sample=false", "The temperature decides."),
        ("+actor_rollout_ref.nccl_timeout=9", "actor_rollout_ref.nccl_timeout changes nothing"),
    ],
)
def test_a_free_override_that_changes_nothing_is_warned_of(text: str, said: str) -> None:
    [warning] = without_effect(grpo_spec(text))
    assert said in warning.message
    assert warning.field == "overrides"


def test_one_that_counts_is_not() -> None:
    assert list(without_effect(grpo_spec("trainer.log_val_generations=3"))) == []
    assert list(without_effect(sft_spec("data.truncation=right"))) == []
    # The former trainer goes by it.
    former = spec_of("grpo", variant="remax").values
    assert list(without_effect(TrainSpec("grpo", former, ("trainer.balance_batch=false",)))) == []
    older = grpo_spec("trainer.balance_batch=false")
    assert list(without_effect(TrainSpec("grpo", older.values, older.overrides, "0.8.0"))) == []


@pytest.mark.parametrize(
    ("spec", "idle"),
    [
        (spec_of("gspo", clip_ratio_c=3.0, clip_ratio_low=3e-4), ["clip_ratio_c"]),
        (spec_of("grpo", variant="gpg", clip_ratio=0.2), ["clip_ratio"]),
        (spec_of("grpo", variant="cispo", clip_ratio_c=3.0, clip_ratio=0.2), ["clip_ratio_c"]),
        (spec_of("grpo", variant="rloo", norm_adv_by_std=False), ["norm_adv_by_std"]),
        (spec_of("grpo", clip_ratio=0.2, clip_ratio_c=3.0, norm_adv_by_std=False), []),
        (spec_of("ppo", clip_ratio=0.2, clip_ratio_c=3.0), []),
    ],
)
def test_a_knob_that_the_method_does_not_go_by_is_warned_of(
    spec: TrainSpec, idle: list[str]
) -> None:
    assert [warning.field for warning in without_effect(spec)] == idle
