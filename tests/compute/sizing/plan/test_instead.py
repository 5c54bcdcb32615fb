"""Why a setting is what it is, and what fits where a job does not."""

from dataclasses import replace

from compute.sizing.facts import read_facts
from compute.sizing.plan.instead import fewest_gpus, fitting, largest_model, longest, nearest
from compute.sizing.plan.reasons import reasons
from compute.sizing.plan.search import judged, search
from compute.sizing.plan.settings import settings_of
from compute.sizing.plan.shapes import with_engines, with_gpus, with_longest, with_lora, with_model
from compute.sizing.question import Lengths, Question
from tests.compute.sizing import configs
from tests.compute.sizing.plan.questions import grpo, sft


def test_each_reason_is_what_the_other_value_alone_would_do() -> None:
    best = search([grpo()], "fastest").best
    assert best

    told = list(reasons(best, best.question))

    by_name = {setting.name: setting for setting in settings_of(best.question)}
    assert len(told) >= 8
    for reason in told:
        setting = by_name[reason.setting]
        assert setting.read(best.question) == reason.value != reason.other
        there = judged(setting.put(best.question, reason.other))
        assert (reason.peak, reason.seconds) == (there.memory.band[1], there.seconds)
        assert (reason.verdict == "does not fit") == (not there.fits)
        assert reason.verdict != "faster"  # the fastest is the fastest


def test_what_does_not_fit_is_told_what_would() -> None:
    question = grpo(gpus=1)
    assert fitting(question) is None

    changes = {one.change: one.choice for one in nearest(question)}

    more = next(choice for change, choice in changes.items() if "GPUs" in change)
    assert more.question.gpus > 1
    assert all(choice.fits for choice in changes.values())
    half = with_gpus(question, more.question.gpus // 2)
    assert half
    assert fitting(half) is None, "fewer would do"


def test_an_adapter_takes_the_place_of_the_reference_too() -> None:
    adapted = with_lora(grpo(), 32)

    assert adapted.actor.lora
    assert adapted.actor.lora.rank == 32
    assert adapted.reference is None


def test_the_longest_answer_that_fits_is_within_an_eighth() -> None:
    found = longest(_endless())

    assert found
    tokens = found.question.lengths.longest_answer
    assert tokens > 4096
    assert fitting(with_longest(grpo(), tokens))
    assert fitting(with_longest(_endless(), tokens * 5 // 4)) is None


def test_answers_that_a_run_measured_are_as_long_whatever_may_be() -> None:
    measured = replace(grpo(), lengths=Lengths(300, 1024, 1200, 4096, "runs", "1,200 tokens"))

    assert with_longest(measured, 16384).lengths.answer == 1200
    assert with_longest(measured, 1000).lengths.answer == 1000
    assert with_longest(grpo(), 8192).lengths.answer == 2400


def _endless() -> Question:
    """As though the model had positions for rows of any length."""
    question = grpo()
    return with_engines(question, model=replace(question.actor.model, max_positions=None))


def test_no_answer_is_longer_than_the_model_has_positions_for() -> None:
    found = longest(grpo())

    assert found
    lengths = found.question.lengths
    assert lengths.longest == 40960


def test_a_model_without_positions_for_the_rows_is_no_choice() -> None:
    short = replace(read_facts(configs.QWEN_25_HALF_B), max_positions=2048)

    assert largest_model(grpo(), [short]) is None
    assert largest_model(grpo(), [replace(short, max_positions=8192)])


def test_longer_answers_are_more_tokens_a_step() -> None:
    question = grpo()

    longer = with_longest(question, 8192)

    assert longer.lengths.answer == 2 * question.lengths.answer
    before = question.update.mean_tokens * question.update.micro_batches
    now = longer.update.mean_tokens * longer.update.micro_batches
    assert now == before * (300 + 2400) / (300 + 1200)
    assert longer.update.tokens >= 1024 + 8192


def test_the_fewest_gpus_share_the_rows_evenly() -> None:
    found = fewest_gpus(sft())

    assert found
    assert 64 % found.question.gpus == 0
    assert with_gpus(replace(sft(), rows=63), 8) is None
    small = fewest_gpus(sft(configs.QWEN_25_HALF_B))
    assert small
    assert small.question.gpus == 1


def test_the_largest_model_that_fits_is_the_last_of_the_row() -> None:
    models = [read_facts(one) for one in (configs.QWEN_25_HALF_B, configs.QWEN_3_8B,
                                          configs.DEEPSEEK_V3)]  # fmt: skip

    found = largest_model(grpo(), models)

    assert found
    assert found.question.actor.model == models[1]
    assert found.question.reference
    assert found.question.reference.model == models[1]
    assert fitting(with_model(grpo(), models[2])) is None
    assert largest_model(grpo(gpus=1), models[2:]) is None
