"""A plan in verl's words: what is applied is what was estimated."""

from dataclasses import replace
from typing import Any

import pytest

from compute.sizing.facts import read_facts
from compute.sizing.gpus import catalogue
from compute.sizing.plan.instead import fewest_gpus, longest
from compute.sizing.plan.search import GOALS, search
from compute.sizing.plan.settings import chosen
from compute.sizing.plan.shapes import with_lora
from compute.sizing.question import Lengths, Question
from jobs.verl.planned import still_beating, with_plan
from jobs.verl.question import question_of
from jobs.verl.spec import TrainSpec
from tests.compute.sizing import configs
from tests.jobs.verl.test_question import GRPO, SFT

LENGTHS = Lengths(300, 900, 1200, 0, "data")
SPECS = {
    "sft": SFT, "dpo": TrainSpec("dpo", dict(SFT.values)), "grpo": GRPO,
    "ppo": TrainSpec("ppo", dict(GRPO.values)),
}  # fmt: skip


def asked(spec: TrainSpec, **more: Any) -> Question:
    model = read_facts(configs.QWEN_25_HALF_B if spec.kind == "ppo" else configs.QWEN_3_8B)
    return question_of(spec, model, catalogue()["h100-80g"], lengths=LENGTHS, **more)


@pytest.mark.parametrize("goal", GOALS)
@pytest.mark.parametrize("kind", list(SPECS))
def test_what_is_applied_is_what_was_estimated(kind: str, goal: Any) -> None:
    spec = SPECS[kind]
    question = asked(spec, per_node=4)
    best = search([question], goal).best
    assert best

    again = asked(with_plan(spec, best.question), per_node=4)

    assert chosen(again) == chosen(best.question)
    assert again.update.mean_tokens == pytest.approx(best.question.update.mean_tokens)
    assert _without_means(again) == _without_means(best.question)


def test_a_plan_takes_the_place_of_an_older_one() -> None:
    best = search([asked(GRPO)], "fastest").best
    assert best

    once = with_plan(GRPO, best.question)
    twice = with_plan(once, best.question)

    assert once == twice


def test_what_was_so_before_stays_unset() -> None:
    question = asked(GRPO)
    best = search([question], "fastest").best
    assert best
    assert chosen(question)["sequence_parallel"] == chosen(best.question)["sequence_parallel"] == 1

    planned = with_plan(GRPO, best.question, question)

    assert "sequence_parallel" not in planned.values
    assert planned.values["max_tokens_per_gpu"] == chosen(best.question)["max_tokens_per_gpu"]
    assert chosen(asked(planned)) == chosen(best.question)


def test_other_overrides_stay() -> None:
    spec = replace(GRPO, overrides=("actor_rollout_ref.actor.entropy_coeff=0.01",))
    best = search([asked(spec)], "fastest").best
    assert best

    assert with_plan(spec, best.question).overrides[0] == spec.overrides[0]


@pytest.mark.parametrize(
    "line",
    [
        "critic.ppo_infer_max_token_len_per_gpu=65536",
        "+critic.fsdp.use_dynamic_bsz=false",
        "critic.fsdp.param_offload=true",
        "critic.model.enable_gradient_checkpointing=false",
        "critic.strategy=fsdp2",
        "actor_rollout_ref.actor.fsdp_config.param_offload=true",
        "actor_rollout_ref.rollout.gpu_memory_utilization=0.35",
        "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=40000",
    ],
)
@pytest.mark.parametrize("goal", ["fastest", "safest"])
@pytest.mark.parametrize("dynamic", [True, False])
def test_an_override_of_what_a_plan_sets_goes(goal: Any, line: str, dynamic: bool) -> None:
    values = {**GRPO.values, "dynamic_batch": dynamic}
    spec = TrainSpec("ppo", values, (line, "trainer.balance_batch=true"))
    question = asked(spec)
    best = search([question], goal).best
    assert best

    planned = with_plan(spec, best.question, question)

    assert line not in planned.overrides
    assert "trainer.balance_batch=true" in planned.overrides
    again = asked(planned)
    assert chosen(again) == chosen(best.question)
    assert _without_means(again) == _without_means(best.question)


def test_an_override_of_a_whole_node_that_beats_a_plan_is_told() -> None:
    line = "actor_rollout_ref.actor.fsdp_config={param_offload: true, seed: 3}"
    spec = replace(GRPO, overrides=(line,))
    best = search([asked(spec)], "fastest").best
    assert best

    planned = with_plan(spec, best.question)

    assert line in planned.overrides
    (said,) = still_beating(planned, best.question)
    assert said.startswith("The override of actor_rollout_ref.actor.fsdp_config beats the plan")
    assert "fsdp_config.param_offload" in said
    assert "seed" not in said
    assert not list(still_beating(with_plan(GRPO, best.question), best.question))


def test_what_else_a_job_may_have_to_give_up() -> None:
    one = TrainSpec("grpo", {**GRPO.values, "gpus": 1, "tensor_parallel": 1})

    more = fewest_gpus(asked(one), more_than=1)
    assert more
    assert with_plan(one, more.question).values["gpus"] == more.question.gpus > 1
    adapted = with_plan(one, with_lora(asked(one), 32))
    assert (adapted.values["lora_rank"], adapted.values["lora_alpha"]) == (32, 32)
    far = longest(asked(GRPO))
    assert far
    answers = with_plan(GRPO, far.question).values["max_response_length"]
    assert answers == far.question.lengths.longest_answer


def _without_means(question: Question) -> Question:
    """The means are floats, which the two ways round differently."""
    update = replace(question.update, mean_tokens=0)
    critic = question.critic_update and replace(question.critic_update, mean_tokens=0)
    return replace(question, update=update, critic_update=critic)
