"""How well one finished run brings the times of others right: synthetic runs and published rows."""

import random
from collections.abc import Mapping
from math import exp

import pytest

from compute.sizing.answer import UPDATE
from compute.sizing.learning import Correction, Lesson, corrected_time, correction_of
from compute.sizing.speed.times import time_of
from tests.compute.sizing.speed import published
from tests.compute.sizing.speed.questions import grpo


def after(estimated: Mapping[str, float], measured: Mapping[str, float]) -> Correction:
    found = correction_of([Lesson(None, {p: s / estimated[p] for p, s in measured.items()})])
    assert found is not None
    return found


def test_after_one_run_nine_of_ten_others_lie_within_a_fifth() -> None:
    """Synthetic: each machine has a factor of its own, each run differs from it by 6 %."""
    drawn = random.Random(7)
    time, within = time_of(grpo()), 0
    for _ in range(400):
        own = {phase: exp(drawn.gauss(0, 0.3)) for phase in time.phases}
        first, second = (
            {phase: s * own[phase] * exp(drawn.gauss(0, 0.06)) for phase, s in time.phases.items()}
            for _ in range(2)
        )
        predicted = corrected_time(time, after(time.phases, first)).seconds
        within += 0.8 < predicted / sum(second.values()) < 1.2
    assert within >= 360


def carried(first: published.Row, other: published.Row) -> float:
    """By which factor the other row is off once the first one is known. Both are rates."""
    known = after({UPDATE: 1 / first.estimated}, {UPDATE: 1 / first.published})
    ratio = other.estimated / known.phases[UPDATE].value / other.published
    return max(ratio, 1 / ratio)


def test_where_tables_cover_the_card_one_published_row_brings_the_others_within_a_tenth() -> None:
    h100, h100_128, a100, bare, again, large = published.titan_rows()
    assert carried(h100, h100_128) < 1.1
    assert max(carried(a100, other) for other in (bare, again, large)) < 1.1


def test_without_tables_the_run_on_32_cards_does_not_tell_the_lengths_of_the_others() -> None:
    """verl's own rows: see ``test_published`` for why the others cannot be told from these."""
    time = time_of(published.math(32))
    known = after(time.phases, published.MATH_FIGURES[32])
    off = {
        gpus: {
            phase: corrected_time(time_of(published.math(gpus)), known).phases[phase] / measured
            for phase, measured in published.MATH_FIGURES[gpus].items()
        }
        for gpus in (64, 128)
    }
    assert off[64] == pytest.approx({"update": 1.27, "rollout": 1.78, "log_prob": 0.76}, abs=0.1)
    assert off[128] == pytest.approx({"update": 0.85, "rollout": 1.32, "log_prob": 0.5}, abs=0.1)


def test_one_row_of_a_mixture_brings_the_next_within_a_fifth_but_not_the_one_after() -> None:
    """The documentation's MFU falls from 8 to 32 cards, which Megatron's exchange of tokens
    between experts explains and FSDP2's gathers do not."""
    eight, sixteen, thirty_two = published.megatron_rows()[:3]
    assert carried(eight, sixteen) < 1.2
    assert 1.2 < carried(eight, thirty_two) < 1.5
