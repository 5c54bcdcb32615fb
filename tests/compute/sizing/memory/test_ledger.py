"""The ledger as a whole: its phases, their sums, and what a setting may only raise."""

from dataclasses import replace

import pytest

from compute.sizing import answer
from compute.sizing.answer import CATEGORIES
from compute.sizing.estimate import estimate
from compute.sizing.facts import read_facts
from compute.sizing.gpus import catalogue
from compute.sizing.memory.ledger import memory_of
from compute.sizing.question import Engine, Lengths, Question, Rollout, Saving, Served, Update
from tests.compute.sizing.configs import LLAMA_3_8B, QWEN_25_HALF_B

LLAMA = read_facts(LLAMA_3_8B)
SFT = Question(
    algorithm="sft", gpu=catalogue()["h100-80g"], gpus=8, per_node=8,
    actor=Engine(LLAMA, shards=8), update=Update(tokens=8192, mean_tokens=8000),
    lengths=Lengths(1000, 4096, 0, 0), rows=64,
)  # fmt: skip
PPO = replace(
    SFT, algorithm="ppo", lengths=Lengths(300, 1024, 500, 2048), rows=128, answers=4,
    reference=Engine(LLAMA, shards=8), critic=Engine(LLAMA, shards=8, head="value"),
    critic_update=SFT.update, rollout=Rollout("vllm", tensor_parallel=2), log_prob_tokens=16384,
)  # fmt: skip


def test_a_training_step_of_sft_has_one_phase_and_ppo_all_of_its_roles() -> None:
    assert answer.UPDATE in memory_of(SFT).phases
    assert answer.ROLLOUT not in memory_of(SFT).phases
    phases = set(memory_of(PPO).phases)
    wanted = {
        answer.UPDATE, answer.CRITIC, answer.VALUES, answer.LOG_PROB, answer.REF, answer.ROLLOUT,
        answer.SYNC, answer.SAVE,
    }  # fmt: skip
    assert wanted <= phases


@pytest.mark.parametrize("question", [SFT, PPO], ids=["sft", "ppo"])
def test_each_phase_has_all_categories_and_none_is_negative(question: Question) -> None:
    for parts in memory_of(question).phases.values():
        assert tuple(parts) == CATEGORIES
        assert min(parts.values()) >= 0
        assert all(isinstance(one, int) for one in parts.values())


def test_the_peak_lies_within_its_band() -> None:
    memory = memory_of(PPO)
    low, high = memory.band
    assert low <= memory.peak <= high


def test_more_tokens_never_take_less_memory() -> None:
    tokens = [512 << at for at in range(8)]
    peaks = [memory_of(replace(SFT, update=replace(SFT.update, tokens=one))).peak for one in tokens]
    assert peaks == sorted(peaks)
    assert peaks[0] < peaks[-1]


def test_more_shards_never_take_more_memory() -> None:
    shards = [1 << at for at in range(7)]
    peaks = [memory_of(replace(SFT, actor=replace(SFT.actor, shards=one))).peak for one in shards]
    assert peaks == sorted(peaks, reverse=True)
    assert peaks[0] > peaks[-1]


def test_a_tied_model_is_known() -> None:
    small = read_facts(QWEN_25_HALF_B)
    memory = memory_of(replace(SFT, actor=replace(SFT.actor, model=small)))
    assert memory.peak < memory_of(SFT).peak


def test_a_rollout_whose_share_is_smaller_than_the_weights_is_remarked() -> None:
    assert not estimate(PPO).remarks
    tiny = replace(PPO, rollout=Rollout("vllm", memory_share=0.1))
    (remark,) = estimate(tiny).remarks
    assert remark.field == "gpu_memory"
    assert "3,072 tokens" in remark.message


def test_a_reward_model_takes_its_share_beside_what_the_actor_keeps() -> None:
    served = replace(PPO, reward_model=Served(LLAMA, tensor_parallel=2, memory_share=0.3))
    parts = memory_of(served).phases[answer.REWARD]
    taken = parts["weights"] + parts["kv_cache"] + parts["overhead"]
    assert taken == pytest.approx(0.3 * PPO.gpu.memory, rel=1e-6)
    assert parts["others"] > memory_of(PPO).phases[answer.SAVE]["weights"]


@pytest.mark.parametrize(
    ("saving", "count"),
    [
        (Saving(every=10, kept=3), 4),
        (Saving(every=10), None),
        (Saving(every=10, steps=95), 10),
        (Saving(every=10, steps=20, kept=5), 2),
        (Saving(every=0), 1),
        (Saving(every=-1), 0),
    ],
)
def test_checkpoints_on_disk(saving: Saving, count: int | None) -> None:
    memory = memory_of(replace(SFT, saving=saving))

    assert memory.disk == (None if count is None else count * memory.checkpoint)


def test_a_rollout_of_its_own_takes_other_cards_and_they_cost() -> None:
    shared, separate = (
        replace(PPO, rollout=Rollout("vllm", memory_share=0.9, colocated=own, gpus=4))
        for own in (True, False)
    )
    on_one, apart = memory_of(shared).phases, memory_of(separate).phases

    assert on_one[answer.ROLLOUT]["others"] > 0 == apart[answer.ROLLOUT]["others"]
    assert on_one[answer.SYNC]["others"] - apart[answer.SYNC]["others"] > 2 << 30
    assert separate.cards == separate.gpus + 4
    costs = replace(separate, saving=Saving(steps=100))
    found = estimate(costs, 3.6)
    assert found.time
    assert found.cost == pytest.approx(100 * found.time.seconds / 3600 * 3.6 * separate.cards)
