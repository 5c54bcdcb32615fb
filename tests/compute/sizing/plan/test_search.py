"""The beam against the whole product of all values, and what a goal chooses."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest

from compute.sizing.plan.search import SLOWER, Choice, _Beam, judged, search
from compute.sizing.plan.settings import laid_out, settings_of
from compute.sizing.plan.shapes import with_gpus, with_rollout, with_tokens
from compute.sizing.plan.sides import NOTHING_MORE, Terms
from compute.sizing.question import Lengths, Question, Update
from tests.compute.sizing import configs
from tests.compute.sizing.plan.questions import grpo, sft


def product(question: Question) -> Iterator[Question]:
    """Each combination of the values that the settings allow, one after the other."""
    found = [question]
    for setting in settings_of(question):
        found = [setting.put(one, value) for one in found for value in setting.values(one)]
    yield from found


def drawn(question: Question, count: int) -> Iterator[Question]:
    """Combinations drawn at random, from a product too large to go through."""
    dice = random.Random(7)
    for _ in range(count):
        one = question
        for setting in settings_of(question):
            one = setting.put(one, dice.choice(list(setting.values(one))))
        yield one


@pytest.mark.parametrize("gpus", [1, 4, 8])
def test_the_beam_finds_what_the_whole_product_holds(gpus: int) -> None:
    question = sft(configs.QWEN_25_HALF_B, gpus)

    everything = [judged(one) for one in product(question)]
    fitting = [choice for choice in everything if choice.fits]

    fastest = search([question], "fastest").best
    assert fastest
    assert fastest.seconds == pytest.approx(min(choice.seconds for choice in fitting))
    safest = search([question], "safest").best
    assert safest
    quick = [one for one in fitting if one.seconds <= SLOWER * fastest.seconds]
    assert safest.memory.band[1] == min(choice.memory.band[1] for choice in quick)


@pytest.mark.parametrize("seed", range(4))
def test_a_setting_is_judged_by_itself_whatever_way_the_search_came_to_it(seed: int) -> None:
    """A critic unlike the actor, and micro batches of rows: the start is as no setting says it."""
    dice, question = random.Random(seed), grpo(gpus=8)
    critic = replace(
        question.actor, head="value", param_offload=True, checkpointing=dice.random() < 0.5,
        strategy="fsdp", sequence_parallel=dice.choice((1, 2)),
    )  # fmt: skip
    rows = Update(dice.choice((2, 3)) * 5120, 3 * 1500, 43)
    question = replace(
        question, algorithm="ppo", critic=critic, update=rows,
        critic_update=Update(5120, 1500, 128, steps=2),
    )  # fmt: skip

    looked = list(_Beam(question, NOTHING_MORE).pairings())

    for one in dice.sample(looked, 60):
        asked = laid_out(question)
        for setting in settings_of(question):
            asked = setting.put(asked, setting.read(one.question))
        alone = judged(asked)
        assert one.seconds == pytest.approx(alone.seconds)
        assert one.peak == pytest.approx(sum(max(alone.memory.phases.values(), key=_size).values()))


def _size(parts: Mapping[str, int]) -> int:
    return sum(parts.values())


def test_nothing_drawn_at_random_is_faster_than_the_beam_finds() -> None:
    question = grpo()

    best = search([question], "fastest").best

    assert best
    others = [choice for choice in map(judged, drawn(question, 3000)) if choice.fits]
    assert len(others) > 100
    assert best.seconds <= min(choice.seconds for choice in others) * 1.005


def test_the_settings_that_are_chosen_are_those_of_the_question_that_was_judged() -> None:
    best = search([grpo()], "fastest").best

    assert best
    again = judged(best.question)
    assert (again.memory, again.time) == (best.memory, best.time)
    assert best.memory.band[1] <= best.question.gpu.memory
    assert set(best.settings) == {setting.name for setting in settings_of(grpo())}


def test_the_work_of_a_step_stays_what_it_was() -> None:
    """Other portions of the same tokens: no setting makes the step smaller."""
    question = grpo()
    whole = _tokens(question)

    for one in drawn(question, 200):
        assert _tokens(one) == pytest.approx(whole)
        assert one.update.mean_tokens <= one.update.tokens


def _tokens(question: Question) -> float:
    ranks = question.gpus / question.actor.sequence_parallel
    return question.update.mean_tokens * question.update.micro_batches * ranks


def test_the_cheapest_takes_fewer_gpus_where_that_costs_less() -> None:
    question = sft(configs.QWEN_25_HALF_B)
    fewer = [one for count in (1, 2, 4) if (one := with_gpus(question, count))]

    cheapest = search([question, *fewer], "cheapest", Terms(2.5)).best
    fastest = search([question, *fewer], "fastest", Terms(2.5)).best

    assert cheapest
    assert fastest
    assert cheapest.question.gpus < fastest.question.gpus == 8
    assert cheapest.cost < fastest.cost


def test_others_differ_from_the_best_in_what_one_chooses_by() -> None:
    found = search([grpo()], "fastest", Terms(2.5))

    assert found.best
    assert 1 <= len(found.others) <= 2
    for other in found.others:
        assert other.fits
        assert _figures(other) != _figures(found.best)


def _figures(choice: Choice) -> tuple[float, float, int]:
    return choice.seconds, choice.cost, choice.memory.peak


def test_where_nothing_fits_the_smallest_peak_is_told() -> None:
    found = search([sft(gpus=1)], "fastest")

    assert found.best is None
    assert found.others == ()
    assert found.least.memory.band[1] > found.least.question.gpu.memory
    assert found.tried > 50


def test_a_machine_whose_own_memory_is_too_small_fits_nothing() -> None:
    question = sft(configs.QWEN_25_HALF_B)

    assert search([replace(question, host_memory=1 << 40)], "fastest").best
    assert search([replace(question, host_memory=1 << 28)], "fastest").best is None


def test_a_rollout_whose_cache_holds_no_row_does_not_fit() -> None:
    """vLLM would end at its start, whatever the peak."""
    question = grpo()
    share = with_rollout(question, memory_share=0.3, tensor_parallel=1)

    assert judged(share).fits
    # 144 KiB of keys and values a token of Qwen3-8B: 2**18 tokens take 36 GiB.
    long = replace(share, lengths=Lengths(300, 1 << 17, 1200, 1 << 17))
    assert judged(long).memory.band[1] <= long.gpu.memory
    assert not judged(long).fits


@pytest.mark.parametrize("tokens", [6000, 8192, 12288, 15000])
def test_tokens_without_gradients_keep_their_share_of_the_updates(tokens: int) -> None:
    question = replace(grpo(), log_prob_tokens=tokens)
    assert question.update.tokens == 8192

    assert laid_out(question).log_prob_tokens == tokens
    twice = with_tokens(question, 16384)
    assert (twice.update.tokens, twice.log_prob_tokens) == (16384, 2 * tokens)
