"""What is kept of earlier questions changes no answer: thousands of them, drawn at random, as they
are answered alone and with everything forgotten in between."""

import random
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from compute.sizing.answer import Memory, Time
from compute.sizing.facts import read_facts
from compute.sizing.gpus import catalogue
from compute.sizing.learning import Correction, Factor
from compute.sizing.memory.ledger import memory_of
from compute.sizing.plan.search import judged
from compute.sizing.plan.settings import settings_of
from compute.sizing.plan.shapes import with_rollout
from compute.sizing.plan.sides import NOTHING_MORE, Terms, paired, sampling_of, training_of
from compute.sizing.question import Engine, Lengths, Lora, Question, Saving, Served
from compute.sizing.speed.times import time_of
from tests.compute.sizing import configs
from tests.compute.sizing.plan.questions import grpo, sft

MODELS = (configs.QWEN_25_HALF_B, configs.QWEN_3_8B, configs.QWEN_3_30B_A3B, configs.DEEPSEEK_V3)
CARDS = ("h100-80g", "a100-40g", "l40s", "mi300x-192g")
FILES = ("compute.sizing.gpus", "compute.sizing.models", "compute.sizing.speed.tables")
TAUGHT = Terms(
    2.5, Correction(3, Factor(1.2, 0.9, 1.1), {"update": Factor(1.3, 0.9, 1.2),
                                               "rollout": Factor(0.8, 0.7, 1.4)}),
)  # fmt: skip
OF_TIME = Terms(None, Correction(2, None, {"log_prob": Factor(1.1, 0.9, 1.1)}))


STEPS = 20


def drawn(count: int, seed: int) -> Iterator[Question]:
    """Jobs of every algorithm with settings that a plan chooses, and walks from each to others, a
    setting at a time: what is kept by too little is found by neighbours."""
    dice = random.Random(seed)
    for _ in range(count // STEPS):
        one = _job(dice, dice.choice(("sft", "dpo", "ppo", "grpo", "gspo")))
        settings = settings_of(one)
        for setting in (*settings, *dice.choices(settings, k=STEPS)):
            one = setting.put(one, dice.choice(list(setting.values(one))))
            yield one


def _job(dice: random.Random, algorithm: Any) -> Question:
    gpus, config = dice.choice((1, 2, 8, 16)), dice.choice(MODELS)
    one = (sft if algorithm in ("sft", "dpo") else grpo)(config, gpus)
    actor = replace(
        one.actor,
        lora=dice.choice((None, None, Lora(16), Lora(8, ("q_proj", "v_proj")))),
        master=dice.choice(("float32", "bfloat16")),
        dtype=dice.choice(("bfloat16", "bfloat16", "float32")),
    )
    one = replace(
        one,
        algorithm=algorithm,
        gpu=catalogue()[dice.choice(CARDS)],
        actor=actor,
        update=replace(
            one.update, pairs=algorithm == "dpo", synced=dice.random() < 0.5,
            entropy=dice.random() < 0.5, steps=dice.choice((1, 4)),
        ),
        reference=dice.choice((None, Engine(actor.model, gpus, param_offload=True))),
        saving=Saving(every=dice.choice((-1, 0, 20))),
        host_memory=dice.choice((None, 1 << 38, 1 << 40)),
        temperature=dice.choice((1.0, 0.7)),
    )  # fmt: skip
    return _sampled(dice, one) if one.rollout else one


def _sampled(dice: random.Random, one: Question) -> Question:
    assert one.rollout
    rollout = replace(
        one.rollout,
        engine=dice.choice(("vllm", "sglang", "hf")),
        frees_cache=dice.random() < 0.7,
        dtype=dice.choice(("bfloat16", "fp8")),
        colocated=dice.random() < 0.7,
        gpus=one.gpus,
    )
    small = read_facts(configs.QWEN_25_HALF_B)
    critic = Engine(one.actor.model, one.gpus, head="value") if one.algorithm == "ppo" else None
    longest = dice.choice((4096, 1 << 17))  # of which few caches hold a row
    return replace(
        one,
        lengths=replace(one.lengths, longest_answer=longest),
        rollout=rollout,
        critic=critic,
        critic_update=one.update if critic else None,
        reward_model=dice.choice((None, Served(small, 1, 0.2))),
    )


def forget() -> None:
    """All that answers are kept in, but not what was read from files."""
    for name, module in list(sys.modules.items()):
        if name.startswith("compute.sizing") and name not in FILES:
            for kept in vars(module).values():
                if hasattr(kept, "cache_clear"):
                    kept.cache_clear()


def answers(question: Question) -> tuple[Memory, Time]:
    return memory_of(question), time_of(question)


def test_an_answer_is_the_same_whatever_was_asked_before() -> None:
    asked = list(drawn(2000, seed=3))
    first = [answers(question) for question in asked]

    forget()
    for question, known in random.Random(1).sample(list(zip(asked, first, strict=True)), 2000):
        assert answers(question) == known


def test_an_answer_is_the_same_with_everything_forgotten() -> None:
    asked = list(drawn(100, seed=3))
    first = [answers(question) for question in asked]

    for question, known in zip(asked, first, strict=True):
        forget()
        assert answers(question) == known


@pytest.mark.parametrize("terms", [NOTHING_MORE, TAUGHT, OF_TIME])
def test_a_pairing_is_judged_as_its_question_is(terms: Terms) -> None:
    """Each side comes from a question of its own, whose other side differs."""
    dice, fitting = random.Random(5), 0
    for question in drawn(700, seed=4):
        other = question
        for setting in settings_of(question):
            if setting.samples:
                other = setting.put(other, dice.choice(list(setting.values(other))))

        pairing = paired(training_of(question, terms), sampling_of(other), terms)

        whole = judged(pairing.question, terms)
        assert pairing.question == replace(question, rollout=other.rollout)
        assert (pairing.high, pairing.peak) == (whole.memory.band[1], whole.memory.peak)
        assert pairing.seconds == pytest.approx(whole.seconds, rel=1e-12)
        assert pairing.cost == pytest.approx(whole.cost, rel=1e-12)
        assert pairing.fits == whole.fits
        fitting += pairing.fits
    assert 50 < fitting < 650


def test_the_peak_is_that_of_the_highest_phase() -> None:
    for question in drawn(300, seed=6):
        memory = memory_of(question)
        low, high = memory.band
        assert memory.peak == max(sum(parts.values()) for parts in memory.phases.values())
        assert low < memory.peak < high


def test_a_setting_of_one_side_leaves_the_other_as_it_is() -> None:
    for question in drawn(300, seed=8):
        for setting in settings_of(question):
            for value in setting.values(question):
                changed = setting.put(question, value)
                if setting.samples:
                    assert replace(changed, rollout=question.rollout) == question
                else:
                    assert changed.rollout == question.rollout


def test_a_rollout_whose_cache_holds_no_row_does_not_fit_in_a_pairing_either() -> None:
    share = with_rollout(grpo(), memory_share=0.3, tensor_parallel=1)
    long = replace(share, lengths=Lengths(300, 1 << 17, 1200, 1 << 17))

    pairing = paired(training_of(long, NOTHING_MORE), sampling_of(long), NOTHING_MORE)

    assert pairing.high <= long.gpu.memory
    assert not pairing.fits
