"""Free overrides against a real schema: other names, choices, and settings that need another."""

import pytest

from jobs.verl.algorithms import ALGORITHMS
from jobs.verl.choices import CHOICES, choices_for
from jobs.verl.lint import NEEDS, check_companions, companions
from jobs.verl.overrides import parse
from jobs.verl.releases import ENVIRONMENTS, RELEASES, refusal
from jobs.verl.schema import load
from jobs.verl.spec import Problem
from tests.factories import grpo_spec, sft_spec


def problem(kind: str, text: str, release: str = "0.9.1") -> str | None:
    return load(ENVIRONMENTS, kind, release).problem(parse(text))


@pytest.mark.parametrize(
    ("kind", "release", "text", "expected"),
    [
        ("ppo", "0.9.1", "critic.model.fsdp_config.seed=1",
         "verl 0.9.1 has no key critic.model.fsdp_config.seed: it calls it critic.fsdp.seed."),
        ("ppo", "0.7.1", "critic.fsdp.seed=1",
         "verl 0.7.1 has no key critic.fsdp.seed: it calls it critic.model.fsdp_config.seed."),
        ("grpo", "0.9.1", "actor_rollout_ref.rollout.skip.enable=true",
         "verl 0.9.1 has no key actor_rollout_ref.rollout.skip.enable: it calls it "
         "skip.rollout_tq.enable."),
        ("sft", "0.9.1", "model.partial_pretrain=/m",
         "verl 0.9.1 has no key model.partial_pretrain: it calls it model.path."),
        ("sft", "0.7.1", "optim.warmup_steps_ratio=0.1",
         "verl 0.7.1 has no key optim.warmup_steps_ratio: it calls it "
         "optim.lr_warmup_steps_ratio."),
        ("sft", "0.8.0", "+model.fsdp_config.model_dtype=bf16",
         "verl 0.8.0 has no key model.fsdp_config.model_dtype: it calls it engine.model_dtype."),
        ("grpo", "0.9.1", "reward_model.reward_kwargs.max_resp_len=9",
         "verl 0.9.1 has no key reward_model.reward_kwargs.max_resp_len: it calls it "
         "reward.reward_kwargs.max_resp_len."),
    ],
)  # fmt: skip
def test_a_renamed_key_gets_the_name_of_this_release(
    kind: str, release: str, text: str, expected: str
) -> None:
    assert problem(kind, text, release) == expected


@pytest.mark.parametrize(
    ("kind", "release", "text", "start"),
    [
        ("grpo", "0.8.0", "trainer.v1.trainer_mode=sync",
         "verl 0.8.0 has no key trainer.v1.trainer_mode; it is in 0.9.1."),
        ("grpo", "0.9.1", "trainer.use_legacy_worker_impl=disable",
         "verl 0.9.1 has no key trainer.use_legacy_worker_impl; it is in 0.7.1."),
        ("grpo", "0.7.1", "+actor_rollout_ref.actor.checkpoint.strict=true",
         "verl 0.7.1 does not read actor_rollout_ref.actor.checkpoint.strict; it is in "
         "0.8.0 and 0.9.1."),
    ],
)  # fmt: skip
def test_a_key_of_another_release_is_said_to_be_one(
    kind: str, release: str, text: str, start: str
) -> None:
    assert str(problem(kind, text, release)).startswith(start)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("custom_reward_function.path=/r.py", "reward.custom_reward_function.path"),
        ("reward_model.reward_manager=dapo", "reward.reward_manager.name"),
        ("reward_model.model.path=/m", "reward.reward_model.model_path"),
        ("reward_model.rollout.name=vllm", "reward.reward_model.rollout.name"),
        ("sandbox_fusion.url=http://here", "reward.sandbox_fusion.url"),
    ],
)
def test_a_key_that_the_newest_takes_and_does_not_read(text: str, right: str) -> None:
    key = text.partition("=")[0]
    assert problem("grpo", text) == f"verl 0.9.1 does not read {key}. Write {right}."
    assert problem("grpo", text, "0.8.0") is None


@pytest.mark.parametrize(
    ("kind", "release", "text", "wrong"),
    [
        ("grpo", "0.9.1", "algorithm.adv_estimator=gea", "gea"),
        ("grpo", "0.8.0", "actor_rollout_ref.actor.policy_loss.loss_mode=dro", "dro"),
        ("grpo", "0.8.0", "actor_rollout_ref.actor.loss_agg_mode=token-sum", "token-sum"),
        ("grpo", "0.7.1", "actor_rollout_ref.actor.kl_loss_type='k3+'", "k3+"),
        ("grpo", "0.9.1", "algorithm.kl_penalty=full", "full"),
        ("sft", "0.9.1", "data.truncation=middle", "middle"),
        ("dpo", "0.9.1", "data.truncation=cut", "cut"),
        ("sft", "0.9.1", "checkpoint.save_contents=[model,optimiser]", "optimiser"),
        ("sft", "0.8.0", "checkpoint.load_contents=[hf_model]", "hf_model"),
        ("sft", "0.9.1", "optim.lr_scheduler_type=linear", "linear"),
        ("sft", "0.8.0", "engine.strategy=fsdp_turbo", "fsdp_turbo"),
        ("grpo", "0.8.0", "actor_rollout_ref.rollout.name=hf", "hf"),
        ("sft", "0.8.0", "trainer.logger=[console,rl_insight]", "rl_insight"),
        ("grpo", "0.9.1", "trainer.v1.trainer_mode=async", "async"),
    ],
)
def test_a_value_outside_verls_own_choices(kind: str, release: str, text: str, wrong: str) -> None:
    key = text.partition("=")[0]
    said = str(problem(kind, text, release))
    assert said.startswith(f"{key} takes ")
    assert said.endswith(f"; not {wrong!r}.")


@pytest.mark.parametrize(
    ("kind", "release", "text"),
    [
        ("grpo", "0.9.1", "algorithm.adv_estimator=rloo"),
        ("grpo", "0.9.1", "actor_rollout_ref.actor.policy_loss.loss_mode=dro"),
        ("grpo", "0.8.0", "actor_rollout_ref.actor.kl_loss_type='k3+'"),
        ("sft", "0.9.1", "data.truncation=left"),
        ("sft", "0.9.1", "checkpoint.save_contents=[model,hf_model]"),
        ("sft", "0.9.1", "checkpoint.load_contents=${checkpoint.save_contents}"),
        ("grpo", "0.9.1", "algorithm.rollout_correction.rollout_is=null"),
        ("grpo", "0.9.1", "+reward.reward_kwargs.overlong_buffer_cfg.len=4"),
        ("sft", "0.9.1", "+engine.mixed_precision={param_dtype:fp32}"),
        ("sft", "0.9.1", "+engine.mixed_precision.param_dtype=fp32"),
    ],
)
def test_what_passes(kind: str, release: str, text: str) -> None:
    assert problem(kind, text, release) is None


def test_a_field_of_verls_class_needs_a_plus_and_its_type() -> None:
    said = "engine.mixed_precision is not in verl's defaults; write +engine.mixed_precision=… "
    assert problem("sft", "engine.mixed_precision={a:1}") == f"{said}to add it."
    said = "engine.mixed_precision takes a dictionary such as {a:1}, not 3."
    assert problem("sft", "+engine.mixed_precision=3") == said


def test_every_default_of_verl_is_among_its_choices() -> None:
    """So a table that is short of a value is found out."""
    seen = []
    for release in RELEASES:
        for kind in (kind for kind in ALGORITHMS if not refusal(kind, release)):
            schema = load(ENVIRONMENTS, kind, release)
            for key, known in schema.keys.items():
                choices = choices_for(key, schema.config)
                if choices is None or "???" in str(known["default"]):
                    continue
                seen.append(key)
                default = known["default"]
                items = default if isinstance(default, list) else [default]
                wrong = [i for i in items if i is not None and "${" not in str(i)]
                assert set(wrong) <= set(choices.of(release)), (key, release)
    assert {"data.truncation", "algorithm.adv_estimator", "optim.lr_scheduler_type"} <= set(seen)


def test_every_choice_is_of_a_key_that_some_release_has() -> None:
    for choices in CHOICES:
        for key in choices.keys:
            kinds = [(k, r) for r in RELEASES for k in ALGORITHMS if not refusal(k, r)]
            assert any(load(ENVIRONMENTS, k, r).has(key) for k, r in kinds), key


@pytest.mark.parametrize(
    ("kind", "values", "start"),
    [
        ("grpo", {"actor_rollout_ref.actor.policy_loss.loss_mode": "dro"},
         "actor_rollout_ref.actor.policy_loss.loss_mode=dro needs "
         "actor_rollout_ref.actor.policy_loss.dro_beta"),
        ("grpo", {"algorithm.adv_estimator": "gdpo", "trainer.use_v1": False},
         "algorithm.adv_estimator=gdpo needs algorithm.gdpo_reward_keys"),
        ("grpo", {"algorithm.adv_estimator": "optimal_token_baseline"},
         "algorithm.adv_estimator=optimal_token_baseline needs trainer.use_v1: the V1 trainer"),
        ("grpo", {"algorithm.adv_estimator": "gdpo", "algorithm.gdpo_reward_keys": ["a"]},
         "algorithm.adv_estimator=gdpo needs trainer.use_v1: the V1 trainer"),
        ("sft", {"engine.ulysses_sequence_parallel_size": 2, "model.use_remove_padding": False},
         "engine.ulysses_sequence_parallel_size=2 needs model.use_remove_padding"),
        ("grpo", {"reward.reward_model.enable": True},
         "reward.reward_model.enable=True needs reward.reward_model.model_path"),
        ("grpo", {"reward.custom_reward_function.name": "score"},
         "reward.custom_reward_function.name=score needs reward.custom_reward_function.path"),
        ("sft", {"data.custom_cls.path": "/c.py"},
         "data.custom_cls.path=/c.py needs data.custom_cls.name"),
        ("grpo", {"reward.reward_manager.name": "mine"},
         "reward.reward_manager.name takes naive, dapo, gdpo, rate_limited, remote; for your own"),
    ],
)  # fmt: skip
def test_a_setting_that_needs_another(kind: str, values: dict[str, object], start: str) -> None:
    [(key, said)] = companions(values, load(ENVIRONMENTS, kind))
    assert key in values
    assert said.startswith(start)
    assert said.endswith(".")


@pytest.mark.parametrize(
    ("kind", "release", "values"),
    [
        ("grpo", "0.9.1", {"algorithm.rollout_correction.rollout_is": "token"}),
        ("sft", "0.9.1", {"engine.ulysses_sequence_parallel_size": 1}),
        ("grpo", "0.9.1", {"reward.reward_manager.name": "mine",
                           "reward.reward_manager.source": "importlib",
                           "reward.reward_manager.module.path": "/m.py"}),
        ("grpo", "0.9.1", {"reward.custom_reward_function.name": "compute_score"}),
        ("grpo", "0.9.1", {}),
        ("grpo", "0.8.0", {"algorithm.adv_estimator": "optimal_token_baseline"}),
    ],
)  # fmt: skip
def test_settings_that_go_together(kind: str, release: str, values: dict[str, object]) -> None:
    assert list(companions(values, load(ENVIRONMENTS, kind, release))) == []


def test_the_default_of_the_release_counts() -> None:
    values = {"algorithm.rollout_correction.rollout_is": "token"}
    assert list(companions(values, load(ENVIRONMENTS, "grpo", "0.9.1"))) == []
    [(_, said)] = companions(values, load(ENVIRONMENTS, "grpo", "0.8.0"))
    assert "needs actor_rollout_ref.rollout.calculate_log_probs" in said


def test_verls_own_defaults_need_nothing() -> None:
    for release in RELEASES:
        for kind in (kind for kind in ALGORITHMS if not refusal(kind, release)):
            schema = load(ENVIRONMENTS, kind, release)
            defaults = {key: known["default"] for key, known in schema.keys.items()}
            assert list(companions(defaults, schema)) == [], (kind, release)


def test_every_need_is_about_keys_that_the_newest_has() -> None:
    kinds = [load(ENVIRONMENTS, kind) for kind in ALGORITHMS]
    for need in NEEDS:
        for key in (need.key, need.other):
            assert any(schema.takes(key, adds=True) for schema in kinds), key


def test_a_run_is_looked_at_as_a_whole() -> None:
    """The field is named where one sets the key; a free override is named otherwise."""
    grpo = load(ENVIRONMENTS, "grpo")
    assert list(check_companions(grpo_spec(), grpo)) == []
    [problem] = check_companions(grpo_spec(reward_name="score"), grpo)
    assert problem.field == "reward_name"
    assert list(check_companions(grpo_spec(reward_name="score", reward_file="/r.py"), grpo)) == []
    spec = sft_spec("data.custom_cls.path=/c.py")
    assert list(check_companions(spec, load(ENVIRONMENTS, "sft"))) == [
        Problem(
            "overrides",
            "data.custom_cls.path=/c.py needs data.custom_cls.name: the file is named, but not "
            "which class in it.",
        )
    ]
