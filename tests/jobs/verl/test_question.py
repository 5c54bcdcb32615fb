"""Jobs in the words of the estimate: what verl will lay out, by hand."""

from dataclasses import replace
from typing import Any

import pytest

from compute.sizing.facts import ModelFacts, read_facts
from compute.sizing.gpus import catalogue
from compute.sizing.memory.storage import checkpoint
from compute.sizing.parameters import parameters_of
from compute.sizing.question import Lengths, Lora, Question, Saving
from jobs.verl import schema
from jobs.verl.effective import RL, SUPERVISED
from jobs.verl.engines import saved_a_weight
from jobs.verl.keys import ACTOR, ROLLOUT
from jobs.verl.question import QuestionError, question_of
from jobs.verl.recipes import all_recipes
from jobs.verl.releases import ENVIRONMENTS
from jobs.verl.spec import TrainSpec
from tests.compute.sizing import configs

H100 = catalogue()["h100-80g"]
MODEL = read_facts(configs.QWEN_3_8B)
GRPO = TrainSpec("grpo", {
    "train_batch_size": 128, "mini_batch_size": 64, "rollout_n": 8, "max_prompt_length": 1024,
    "max_response_length": 3072, "micro_batch_size": 4, "log_prob_micro_batch_size": 8, "gpus": 8,
    "tensor_parallel": 2, "use_kl_loss": True, "gradient_checkpointing": True,
})  # fmt: skip
SFT = TrainSpec("sft", {
    "train_batch_size": 64, "micro_batch_size": 2, "max_length": 4096, "gpus": 4,
    "strategy": "fsdp2",
})  # fmt: skip
PLACES = {"samples": "/home/samples", "rewards": "/node/rewards"}
KNOWN = Lengths(300, 900, 1200, 0, "data")


def asked(spec: TrainSpec, model: ModelFacts = MODEL, **more: Any) -> Question:
    return question_of(spec, model, H100, **more)


def test_grpo_by_rows() -> None:
    question = asked(GRPO, lengths=KNOWN)

    # 64 prompts x 8 answers over 8 GPUs are 64 rows, 16 times 4; and 128 / 64 optimizer steps.
    update = question.update
    assert (update.tokens, update.micro_batches, update.steps) == (4 * 4096, 16, 2)
    assert update.mean_tokens == 4 * 1500
    assert (question.rows, question.answers, question.log_prob_tokens) == (128, 8, 8 * 4096)
    assert question.lengths == Lengths(300, 1024, 1200, 3072, "data")
    assert question.rollout
    assert (question.rollout.tensor_parallel, question.rollout.most_sequences) == (2, 256)
    assert question.reference
    assert question.reference.param_offload
    assert question.critic is None
    assert update.synced


def test_grpo_by_tokens() -> None:
    spec = _with(GRPO, dynamic_batch=True, max_tokens_per_gpu=16384, sequence_parallel=2)

    update = asked(spec, lengths=KNOWN).update

    # 512 answers of 1,500 tokens over 4 groups of two GPUs: 192,000 tokens, 32,768 at once.
    assert (update.tokens, update.micro_batches) == (32768, 6)
    assert update.mean_tokens == 32000


def test_sft_cuts_the_rows_at_their_longest() -> None:
    question = asked(SFT, lengths=Lengths(5000, 9000, 0, 0, "data"))

    assert question.lengths == Lengths(4096, 4096, 0, 0, "data")
    assert (question.update.tokens, question.update.micro_batches) == (2 * 4096, 8)
    assert question.actor.strategy == "fsdp2"
    assert question.rollout is None


def test_a_pair_of_dpo_is_two_rows() -> None:
    spec = TrainSpec("dpo", {**SFT.values, "train_batch_size": 64})

    update = asked(spec, lengths=Lengths(1000, 4096, 0, 0)).update

    assert update.pairs
    # 16 pairs a GPU, two at once: eight micro batches of four rows.
    assert (update.tokens, update.micro_batches, update.mean_tokens) == (4 * 4096, 8, 4000)


def test_ppo_has_a_critic_that_takes_the_micro_batch_of_the_actor() -> None:
    question = asked(TrainSpec("ppo", dict(GRPO.values)))

    assert question.critic
    assert question.critic.head == "value"
    assert question.critic_update
    assert question.critic_update.tokens == question.update.tokens
    own = _with(TrainSpec("ppo", dict(GRPO.values)), critic_micro_batch_size=2)
    critic_update = asked(own).critic_update
    assert critic_update
    assert critic_update.tokens == 2 * 4096
    assert asked(own).values_tokens == 2 * 4096
    apart = replace(own, overrides=("critic.fsdp.infer_micro_batch_size_per_gpu=8",))
    assert asked(apart).values_tokens == 8 * 4096
    assert asked(apart).log_prob_tokens == question.log_prob_tokens


def test_a_critic_filled_by_tokens_scores_by_its_own_budget() -> None:
    values = {**GRPO.values, "dynamic_batch": True, "max_tokens_per_gpu": 8192}
    spec = TrainSpec("ppo", values, ("critic.ppo_infer_max_token_len_per_gpu=20000",))

    question = asked(spec)

    assert question.critic_update
    assert (question.critic_update.tokens, question.values_tokens) == (20000, 20000)
    assert (question.update.tokens, question.log_prob_tokens) == (8192, 8192)


def test_an_adapter_needs_no_second_model() -> None:
    spec = _with(GRPO, lora_rank=32, target_modules="[q_proj,v_proj]")

    question = asked(spec)

    assert question.reference is None
    assert question.actor.lora == Lora(32, ("q_proj", "v_proj"))
    assert asked(_with(spec, target_modules="all-linear")).actor.lora == Lora(32)


def test_overrides_come_last() -> None:
    spec = replace(GRPO, overrides=(
        f"{ACTOR}.fsdp_config.fsdp_size=4", f"{ROLLOUT}.max_num_seqs=64",
        f"{ACTOR}.fsdp_config.use_no_sync_for_gradient_accumulation=true",
        f"+{ACTOR}.fsdp_config.mixed_precision={{param_dtype:fp32}}",
        f"{ACTOR}.ppo_mini_batch_size=32",
    ))  # fmt: skip

    question = asked(spec)

    assert (question.actor.shards, question.actor.replicas) == (4, 2)
    assert question.actor.dtype == "float32"
    assert not question.update.synced
    assert question.update.steps == 4
    assert question.rollout
    assert question.rollout.most_sequences == 64


def test_what_is_saved() -> None:
    spec = _with(GRPO, save_contents="model,hf_model", save_freq=10, max_ckpt_to_keep=2, steps=100)

    assert asked(spec).saving == Saving(("model", "hf_model"), 2, 10, 100)
    assert asked(GRPO).saving.every == -1
    assert asked(SFT).saving.every == 0


@pytest.mark.parametrize(
    ("spec", "field", "said"),
    [
        (("grpo", {"gpus": 0}), "gpus", "0 GPUs"),
        (("grpo", {"max_response_length": 10**9}), "max_response_length", "1000000000"),
        (("sft", {"max_length": -5}), "max_length", "-5"),
        (("grpo", {"lora_rank": 5000}), "lora_rank", "above the model's width of 4096"),
        (("grpo", {"tensor_parallel": 3}), "tensor_parallel", "does not divide 8 GPUs and 32"),
        (("sft", {"sequence_parallel": 3}), "sequence_parallel", "does not divide 4 GPUs"),
        (("grpo", {"mini_batch_size": 60}), "mini_batch_size", "does not divide the 128 prompts"),
        (("grpo", {"gpu_memory": 1.5}), "gpu_memory", "share"),
        (("grpo", {"temperature": 0}), "temperature", "above 0"),
        (("sft", {"strategy": "megatron"}), "strategy", "fsdp, fsdp2 only"),
        (
            ("grpo", {"dynamic_batch": True, "max_tokens_per_gpu": 4000}),
            "max_tokens_per_gpu", "4,000 tokens at once do not hold the longest row",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_at_its_field(
    spec: tuple[str, dict[str, Any]], field: str, said: str
) -> None:
    kind, changed = spec
    base = GRPO if kind == "grpo" else SFT

    with pytest.raises(QuestionError, match=said) as refused:
        asked(_with(base, **changed))

    assert refused.value.field == field


def test_a_key_of_an_override_is_named_as_it_is() -> None:
    spec = replace(SFT, overrides=("engine.fsdp_size=3",))

    with pytest.raises(QuestionError, match="does not divide 4 GPUs") as refused:
        asked(spec)

    assert refused.value.field == "engine.fsdp_size"


@pytest.mark.parametrize("slug", list(all_recipes()))
def test_every_recipe_can_be_asked_about(slug: str) -> None:
    recipe = all_recipes()[slug]
    question = asked(recipe.spec(PLACES))

    assert question.update.tokens >= question.update.mean_tokens > 0
    assert (question.rollout is None) == (recipe.kind in ("sft", "dpo"))


@pytest.mark.parametrize(("kind", "defaults"), [("sft", SUPERVISED), ("ppo", RL)])
def test_the_defaults_are_those_of_verl(kind: str, defaults: dict[str, Any]) -> None:
    """But for what the platform sets, what verl's files do not list, and what has no default."""
    known = schema.load(ENVIRONMENTS, kind, "0.9.1").keys
    own = {
        "data.use_dynamic_bsz", "critic.fsdp.use_dynamic_bsz",
        "critic.ppo_infer_max_token_len_per_gpu", f"{ROLLOUT}.name",
        f"{ACTOR}.ppo_micro_batch_size_per_gpu", f"{ROLLOUT}.log_prob_micro_batch_size_per_gpu",
        "reward.reward_model.rollout.tensor_model_parallel_size",
    }  # fmt: skip
    compared = 0

    for key, value in defaults.items():
        if key in known and key not in own:
            default = known[key]["default"]
            compared += 1
            assert (tuple(default) if isinstance(default, list) else default) == value, key

    assert compared >= 15


def _with(spec: TrainSpec, **values: Any) -> TrainSpec:
    return replace(spec, values={**spec.values, **values})


def test_what_is_saved_must_be_a_list() -> None:
    spec = replace(SFT, overrides=("checkpoint.save_contents=true",))

    with pytest.raises(QuestionError, match="write a list"):
        asked(spec)


@pytest.mark.parametrize(
    ("kind", "values", "overrides"),
    [
        ("grpo", {}, ()),
        ("grpo", {}, (f"{ACTOR}.fsdp_config.fsdp_size=4",)),
        ("grpo", {}, (f"{ACTOR}.checkpoint.save_contents=[model,hf_model]",)),
        ("grpo", {}, (f"{ACTOR}.fsdp_config.model_dtype=bfloat16",)),
        ("grpo", {"lora_rank": 8}, ()),
        ("ppo", {}, ("critic.fsdp.fsdp_size=4",)),
    ],
)  # fmt: skip
def test_a_checkpoints_bytes_for_each_weight_are_those_of_the_estimate(
    kind: str, values: dict[str, Any], overrides: tuple[str, ...]
) -> None:
    spec = TrainSpec(kind, {**GRPO.values, **values}, overrides)
    question = asked(spec)

    told = saved_a_weight(spec)

    weights = parameters_of(question.actor.model).total
    assert sum(told.values()) * weights == pytest.approx(checkpoint(question), rel=0.1)
    assert told.keys() == ({"model", "critic"} if kind == "ppo" else {"model"})


def test_of_a_checkpoint_that_no_estimate_knows_nothing_is_told() -> None:
    assert saved_a_weight(replace(GRPO, overrides=(f"{ACTOR}.fsdp_config.fsdp_size=3",))) == {}
