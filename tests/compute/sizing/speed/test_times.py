"""Times of a step: against sums by hand, and which way they go."""

from dataclasses import replace

import pytest

from compute.sizing import answer
from compute.sizing.gpus import Gpu, find
from compute.sizing.question import Engine, Lengths, Lora, Question, Rollout, Saving, Served, Update
from compute.sizing.speed.times import time_of
from tests.compute.sizing.speed.questions import MIXTURE, QWEN, grpo, sft


def seconds(question: Question, phase: str = answer.UPDATE) -> float:
    return time_of(question).phases[phase]


def test_mfu_is_by_verls_count() -> None:
    time = time_of(sft())
    # 8.03 billion weights of Llama 3.1 without norms, the look-up counted: 6 x 8.03e9 = 48.2 GFLOP,
    # and attention 6 x 8192 x 32 heads x 128 x 32 layers = 6.4 GFLOP a token.
    flops = 54.6e9 * 16384 * 8
    assert time.mfu == pytest.approx(flops / time.seconds / (8 * 989.4e12), rel=0.01)
    assert "embedding" in time.mfu_counts


def test_tokens_a_second_are_those_of_all_gpus() -> None:
    time = time_of(sft())
    assert time.tokens_per_second == pytest.approx(8 * 16384 / time.seconds)
    time = time_of(grpo())
    assert time.tokens_per_second == pytest.approx(128 * 8 * 1280 / time.seconds)


def test_a_training_step_is_slower_than_its_products_and_faster_than_a_tenth_of_them() -> None:
    # Forward, two products backward and the forward again: 8 FLOPs a weight and token.
    least = 8 * 7.5e9 * 16384 / 989.4e12
    assert least < seconds(sft()) < 10 * least


def test_phases_of_grpo() -> None:
    assert set(time_of(grpo()).phases) == {"update", "log_prob", "ref", "weight_sync", "rollout"}


def test_phases_of_ppo_with_a_critic_and_a_reward_model() -> None:
    critic = Engine(QWEN, shards=8, head="value")
    question = replace(
        grpo(), algorithm="ppo", critic=critic, critic_update=Update(16384, 16384, 10),
        reward_model=Served(QWEN),
    )  # fmt: skip
    assert {"values", "critic", "reward_model"} < set(time_of(question).phases)


@pytest.mark.parametrize("phase", [answer.ROLLOUT, answer.REWARD])
@pytest.mark.parametrize("gpu", ["a100-80g", "h100-80g"])
def test_a_replica_over_two_machines_sums_its_products_over_the_network(
    phase: str, gpu: str
) -> None:
    """The bus of a machine of four has as many ports of the network, which are slower."""
    question = replace(
        grpo(gpu, 16), rollout=Rollout("vllm", tensor_parallel=8),
        reward_model=Served(QWEN, tensor_parallel=8),
    )  # fmt: skip
    assert seconds(replace(question, per_node=4), phase) > 1.02 * seconds(question, phase)


def test_checkpointing_costs_one_forward_pass() -> None:
    kept = replace(sft(), actor=replace(sft().actor, checkpointing=False))
    assert 1.2 < seconds(sft()) / seconds(kept) < 1.4


def test_lora_saves_the_products_of_the_weights() -> None:
    adapted = replace(sft(), actor=replace(sft().actor, lora=Lora(16)))
    assert 0.6 < seconds(adapted) / seconds(sft()) < 0.85


def test_float32_takes_twice_the_time() -> None:
    wide = replace(sft(), actor=replace(sft().actor, dtype="float32"))
    assert seconds(wide) == pytest.approx(2 * seconds(sft()), rel=0.1)


def test_offloading_costs_the_way_to_the_machines_memory() -> None:
    away = replace(sft(), actor=replace(sft().actor, optimizer_offload=True))
    # 8 bytes a parameter there and back, an eighth for each GPU, at 0.8 of 64 GB/s.
    moved = 2 * 8 * 8.03e9 / 8 / (0.8 * 64e9)
    assert seconds(away) - seconds(sft()) == pytest.approx(moved, rel=0.01)


def test_reducing_once_is_no_slower_than_after_each_micro_batch() -> None:
    many = replace(sft(), update=Update(2048, 2048, micro_batches=8))
    once = replace(many, update=replace(many.update, synced=False))
    assert seconds(once) < seconds(many)


def test_slow_networks_stand_out() -> None:
    near = replace(sft(gpus=64), update=Update(2048, 2048))
    slow = replace(near, gpu=replace(near.gpu, network=1e9))
    assert seconds(slow) > 2 * seconds(near)


def test_longer_answers_take_longer() -> None:
    question = grpo()
    longer = replace(question, lengths=replace(question.lengths, answer=2048.0))
    assert seconds(longer, answer.ROLLOUT) > 1.3 * seconds(question, answer.ROLLOUT)


def test_a_small_cache_makes_answers_wait() -> None:
    question = grpo()
    small = replace(question, rollout=Rollout("vllm", memory_share=0.25))
    assert seconds(small, answer.ROLLOUT) > 1.1 * seconds(question, answer.ROLLOUT)


def test_decoding_reads_the_weights_for_each_token_at_least() -> None:
    question = grpo()
    # 16 GB of bf16 weights for each of the steps of the longest answer, here all 4,096.
    least = 4096 * 2 * 8.19e9 / 3.35e12
    assert least < seconds(question, answer.ROLLOUT) < 6 * least


def test_without_graphs_a_small_batch_waits_for_the_launches() -> None:
    question = replace(grpo(), rows=8)
    eager = replace(question, rollout=Rollout("vllm", memory_share=0.6, eager=True))
    assert seconds(eager, answer.ROLLOUT) > seconds(question, answer.ROLLOUT)


def test_a_rollout_on_gpus_of_its_own_adds_only_what_is_longer_than_training() -> None:
    rollout = Rollout("vllm", colocated=False, gpus=8)
    time = time_of(replace(grpo(), rollout=rollout))
    assert time.phases["rollout"] < seconds(grpo(), answer.ROLLOUT)
    assert "GPUs of its own" in time.remarks[0].message


def test_saving_is_spread_over_the_steps_between() -> None:
    saving = Saving(every=10)
    # 12 bytes for each of 8.03 billion parameters, at 2 GB/s.
    assert seconds(replace(sft(), saving=saving), answer.SAVE) == pytest.approx(4.8, rel=0.01)
    assert answer.SAVE not in time_of(sft()).phases


def test_a_mixture_computes_with_the_experts_that_were_chosen() -> None:
    # 3.3 of its 30.5 billion parameters work on a token.
    all_of_them, chosen = (8 * count * 16384 / 989.4e12 for count in (30.5e9, 3.3e9))
    assert chosen < seconds(sft(gpus=64, model=MIXTURE)) < 0.8 * all_of_them


@pytest.mark.parametrize("gpu", ["a100-80g", "h20-96g", "mi300x-192g", "ascend-910b3-64g", "t4"])
def test_a_slower_card_takes_longer(gpu: str) -> None:
    assert seconds(sft(gpu)) > seconds(sft("b200-180g"))


def test_assumed_lengths_widen_the_band() -> None:
    told = time_of(grpo())
    assumed = replace(grpo(), lengths=Lengths(256, 1024, 1024, 4096))
    low, high = time_of(assumed).band
    assert low < told.band[0] < 1 < told.band[1] < high


def test_an_equal_card_gets_an_equal_answer() -> None:
    gpu = find("h100-80g")
    copy = Gpu(**{name: getattr(gpu, name) for name in gpu.__dataclass_fields__})
    assert time_of(replace(sft(), gpu=copy)) == time_of(sft())
