"""What finished runs teach the next estimate. The ratios are made up; the arithmetic is not."""

from dataclasses import replace

import pytest

from compute.sizing import answer
from compute.sizing.answer import CATEGORIES
from compute.sizing.estimate import estimate
from compute.sizing.learning import (
    Correction,
    Lesson,
    Measured,
    correction_of,
    factor_of,
    lesson_of,
    whole_step,
)
from compute.sizing.memory.allocated import TRAINING, allocated, peak_of
from compute.sizing.memory.ledger import memory_of
from compute.sizing.memory.rollout import asleep
from compute.sizing.speed.times import time_of
from tests.compute.sizing.memory.test_ledger import PPO
from tests.compute.sizing.speed.questions import grpo, sft

GRPO = grpo()


def taught(*lessons: Lesson) -> Correction:
    found = correction_of(lessons)
    assert found
    return found


def test_one_run_brings_the_next_near_to_what_it_measured() -> None:
    factor = factor_of([2.0], guess=0.36, scatter=0.1)

    assert 1.8 < factor.value < 2.0  # near, and a little towards the formula
    assert 1.2 < factor.high < 1.3
    assert factor.low == pytest.approx(1 / factor.high)


def test_the_band_narrows_with_the_number_of_runs_that_agree() -> None:
    widths = [factor_of([1.5] * runs, 0.36, 0.1).high for runs in (1, 2, 5, 20)]

    assert widths == sorted(widths, reverse=True)
    assert factor_of([1.5] * 20, 0.36, 0.1).value == pytest.approx(1.5, rel=0.01)


def test_the_band_is_wide_where_the_runs_lie_apart() -> None:
    agree, apart = factor_of([1.5] * 6, 0.36, 0.1), factor_of([0.75, 3.0] * 3, 0.36, 0.1)

    assert apart.high > 2 > agree.high


def test_runs_that_the_formula_meets_leave_its_figure() -> None:
    assert factor_of([1.0, 1.0], 0.36, 0.1).value == 1.0


def test_each_phase_learns_from_its_own_times() -> None:
    told = time_of(GRPO)
    run = Measured(phases={answer.ROLLOUT: 2 * told.phases[answer.ROLLOUT], answer.REF: 1.0})

    lesson = lesson_of(GRPO, run)

    assert lesson.phases[answer.ROLLOUT] == 2.0
    assert answer.UPDATE not in lesson.phases
    found = estimate(GRPO, correction=taught(lesson)).time
    assert found
    assert found.phases[answer.UPDATE] == told.phases[answer.UPDATE]
    assert 1.8 < found.phases[answer.ROLLOUT] / told.phases[answer.ROLLOUT] < 2.0
    assert found.tokens_per_second * found.seconds == pytest.approx(
        told.tokens_per_second * told.seconds
    )


def test_the_band_of_the_whole_is_that_of_its_phases() -> None:
    told = time_of(GRPO)
    all_of_it = Lesson(None, dict.fromkeys(told.phases, 1.2))

    found = estimate(GRPO, correction=taught(all_of_it)).time
    assert found
    assert told.band[0] < found.band[0] < 1 < found.band[1] < told.band[1]
    assert found.band == pytest.approx((0.79, 1.26), abs=0.02)


def test_where_only_the_whole_step_is_timed_all_phases_are_as_far_off() -> None:
    asked = sft()
    whole = whole_step(asked, time_of(asked).phases)

    assert lesson_of(asked, Measured(seconds=whole * 1.5)).phases == {answer.UPDATE: 1.5}


def test_a_usual_step_saves_nothing_unless_each_does() -> None:
    phases = {answer.UPDATE: 10.0, answer.SAVE: 5.0}
    every = replace(GRPO, saving=replace(GRPO.saving, every=1))

    assert whole_step(GRPO, phases) == 10.0
    assert whole_step(every, phases) == 15.0


def test_a_higher_peak_goes_to_the_activations_and_the_verdict_follows() -> None:
    asked = sft()
    before = estimate(asked)
    own = peak_of(allocated(asked, before.memory))

    after = estimate(asked, correction=taught(lesson_of(asked, Measured(peak=own * 1.5))))

    update, was = after.memory.phases[answer.UPDATE], before.memory.phases[answer.UPDATE]
    assert tuple(update) == CATEGORIES
    assert update["weights"] == was["weights"]
    grown = (update["activations"] - was["activations"]) / own
    assert 0.3 < grown < 0.5
    low, high = after.memory.band
    assert low < after.memory.peak < high
    assert after.runs == 1
    assert "1 finished run of llama models" in after.remarks[-1].message


def test_a_run_that_may_not_have_met_its_longest_rows_does_not_lower_the_peak() -> None:
    full = sft()
    own = peak_of(allocated(full, memory_of(full)))
    partly = replace(full, update=replace(full.update, mean_tokens=full.update.tokens / 4))

    assert lesson_of(full, Measured(peak=own * 0.9)).peak == pytest.approx(0.9)
    assert lesson_of(partly, Measured(peak=own * 0.9)).peak is None
    assert lesson_of(partly, Measured(peak=own * 1.1)).peak == pytest.approx(1.1)


def test_the_peak_is_never_below_what_is_counted() -> None:
    asked = sft()
    found = estimate(asked, correction=taught(*[Lesson(0.3, {})] * 9)).memory

    assert found.phases[answer.UPDATE]["activations"] == 0
    assert (
        found.phases[answer.UPDATE]["weights"] == memory_of(asked).phases[answer.UPDATE]["weights"]
    )


def test_a_figure_beyond_belief_teaches_nothing() -> None:
    lesson = lesson_of(sft(), Measured(peak=1.0, seconds=1e9))

    assert lesson == Lesson(None, {})
    assert correction_of([lesson]) is None
    assert correction_of([]) is None


def test_the_allocator_shows_the_roles_of_one_process_and_no_sleeping_rollout() -> None:
    memory = memory_of(PPO)
    own = allocated(PPO, memory)

    assert set(own) == set(TRAINING)
    for phase, size in own.items():
        parts = memory.phases[phase]
        assert parts["others"] >= asleep(PPO) > 0  # the rollout, and the other roles
        assert size + parts["overhead"] + asleep(PPO) == sum(parts.values())
