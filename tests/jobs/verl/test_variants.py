"""Each method is what its paper asks for, in verl's own names."""

from typing import Any

import pytest

from jobs.process import Placement
from jobs.verl.command import build_command
from jobs.verl.spec import Value
from jobs.verl.variants import VARIANTS, variant_of
from tests.factories import spec_of

PLACEMENT = Placement("/runs/1", "python", "x")
ACTOR = "actor_rollout_ref.actor"
WANTED: dict[tuple[str, str], dict[str, str]] = {
    ("ppo", ""): {"algorithm.adv_estimator": "gae", "critic.model.path": "/models/tiny"},
    ("gspo", ""): {
        "algorithm.adv_estimator": "grpo",
        f"{ACTOR}.policy_loss.loss_mode": "gspo",
        f"{ACTOR}.loss_agg_mode": "seq-mean-token-mean",
        f"{ACTOR}.clip_ratio_low": "0.0003",
        f"{ACTOR}.clip_ratio_high": "0.0004",
    },
    ("grpo", ""): {"algorithm.adv_estimator": "grpo"},
    ("grpo", "dapo"): {
        "algorithm.adv_estimator": "grpo",
        "algorithm.filter_groups.enable": "true",
        f"{ACTOR}.clip_ratio_low": "0.2",
        f"{ACTOR}.clip_ratio_high": "0.28",
        f"{ACTOR}.loss_agg_mode": "token-mean",
        f"{ACTOR}.use_kl_loss": "false",
    },
    ("grpo", "dr_grpo"): {
        "algorithm.adv_estimator": "grpo",
        "algorithm.norm_adv_by_std_in_grpo": "false",
        f"{ACTOR}.loss_agg_mode": "seq-mean-token-sum-norm",
        f"{ACTOR}.loss_scale_factor": "8",  # the longest answer: a constant
    },
    ("grpo", "rloo"): {"algorithm.adv_estimator": "rloo", "algorithm.use_kl_in_reward": "true"},
    ("grpo", "reinforce_plus_plus"): {"algorithm.adv_estimator": "reinforce_plus_plus"},
    ("grpo", "reinforce_plus_plus_baseline"): {
        "algorithm.adv_estimator": "reinforce_plus_plus_baseline",
        f"{ACTOR}.kl_loss_type": "mse",
    },
    ("grpo", "remax"): {"algorithm.adv_estimator": "remax", "trainer.use_v1": "false"},
    ("grpo", "opo"): {"algorithm.adv_estimator": "opo"},
    ("grpo", "gpg"): {"algorithm.adv_estimator": "gpg", f"{ACTOR}.policy_loss.loss_mode": "gpg"},
    ("grpo", "cispo"): {f"{ACTOR}.policy_loss.loss_mode": "cispo"},
    ("grpo", "gmpo"): {
        f"{ACTOR}.policy_loss.loss_mode": "geo_mean",
        f"{ACTOR}.clip_ratio_low": "0.4",
    },
}


def settings(kind: str, **values: Any) -> dict[str, str]:
    command = build_command(spec_of(kind, **values), PLACEMENT, {})
    return {setting.key: setting.text.partition("=")[2] for setting in command.settings}


def test_every_method_is_written_down_here() -> None:
    assert {name for kind, name in WANTED if kind == "grpo"} - {""} == set(VARIANTS) - {"grpo"}


@pytest.mark.parametrize(("kind", "variant"), WANTED)
def test_the_command_holds_what_the_method_asks_for(kind: str, variant: str) -> None:
    chosen: dict[str, Value] = {"variant": variant} if variant else {}
    found = settings(kind, **chosen)
    wanted = WANTED[kind, variant]
    assert {key: found.get(key) for key in wanted} == wanted


def test_a_knob_set_by_hand_wins_over_the_method() -> None:
    found = settings("grpo", variant="dapo", clip_ratio_high=0.3, use_kl_loss=True)
    assert found[f"{ACTOR}.clip_ratio_high"] == "0.3"
    assert found[f"{ACTOR}.use_kl_loss"] == "true"


def test_a_free_override_wins_over_the_method() -> None:
    command = build_command(
        spec_of("grpo", f"{ACTOR}.policy_loss.loss_mode=sapo", variant="cispo"), PLACEMENT, {}
    )
    texts = [s.text for s in command.settings if s.key == f"{ACTOR}.policy_loss.loss_mode"]
    assert texts == [f"{ACTOR}.policy_loss.loss_mode=sapo"]


@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_supervised_kinds_have_no_method(kind: str) -> None:
    assert variant_of(kind, None) is None


def test_the_penalty_for_long_answers_names_their_length() -> None:
    found = settings("grpo", variant="dapo", overlong_buffer=4, overlong_penalty=0.5)
    assert found["reward.reward_manager.name"] == "dapo"
    assert found["reward.reward_kwargs.max_resp_len"] == "8"
    assert found["reward.reward_kwargs.overlong_buffer_cfg.len"] == "4"
    assert found["reward.reward_kwargs.overlong_buffer_cfg.penalty_factor"] == "0.5"


def test_a_reward_model_is_served_by_the_rollouts_engine() -> None:
    found = settings("grpo", device="cuda", engine="vllm", reward_model="/models/rm")
    assert found["reward.reward_model.enable"] == "true"
    assert found["reward.reward_model.model_path"] == "/models/rm"
    assert found["reward.reward_model.rollout.name"] == "vllm"


def test_lora_on_a_gpu_lets_the_engine_load_the_base() -> None:
    found = settings("grpo", device="cuda", engine="vllm", lora_rank=8)
    assert found["actor_rollout_ref.rollout.load_format"] == "safetensors"


def test_trackers_stand_beside_the_console_and_the_file() -> None:
    command = build_command(spec_of("sft", loggers="wandb,tensorboard"), PLACEMENT, {})
    assert "trainer.logger=[console,file,wandb,tensorboard]" in command.argv
    assert command.env["TENSORBOARD_DIR"] == "/runs/1/tensorboard"
