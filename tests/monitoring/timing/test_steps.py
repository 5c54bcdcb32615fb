"""The parts of steps. The figures are made up, and the expected sums written out."""

import math

import numpy as np
import pytest

from jobs.verl.timing import PARTS
from monitoring.series.column import Column
from monitoring.timing import drawing
from monitoring.timing.steps import StepTimes, bounds, metrics_of, step_times, thinned


def column(values: dict[int, float]) -> Column:
    return Column(np.array(list(values), np.int64), np.array(list(values.values()), np.float64))


def times_of(kind: str, **values: dict[int, float]) -> StepTimes | None:
    columns = {f"timing_s/{name}": column(each) for name, each in values.items()}
    return step_times(PARTS[kind], columns)


def known(times: StepTimes | None) -> StepTimes:
    assert times is not None
    return times


def totals(times: StepTimes) -> dict[str, float]:
    return {layer.part.label: layer.total for layer in times.layers}


RL = {
    "step": {1: 20.0, 2: 10.0, 3: 12.0},
    "gen": {1: 5.0, 2: 6.0, 3: 7.0},
    "update_actor": {1: 3.0, 2: 2.0, 3: 3.0},
    "testing": {3: 4.0},
}


def test_what_no_part_holds_is_shown_and_validation_comes_on_top_of_the_step() -> None:
    times = known(times_of("grpo", **RL))

    assert totals(times) == {
        "Answers": 18.0,
        "Policy's update": 8.0,
        "Validation": 4.0,
        "Not measured": 16.0,
    }
    assert times.whole.tolist() == [20.0, 10.0, 16.0]
    assert sum(layer.total for layer in times.layers) == times.total == 46.0
    assert not times.is_overlapping


def test_a_usual_step_leaves_the_first_out_and_its_parts_add_up() -> None:
    times = known(times_of("grpo", **RL))

    assert times.mean == 13.0
    assert sum(layer.mean for layer in times.layers) == pytest.approx(13.0)


def test_the_largest_sort_of_work_is_the_bound_and_others_that_take_much_follow() -> None:
    found = bounds(known(times_of("grpo", **RL)))

    assert [(bound.work.slug, round(bound.share, 3)) for bound in found] == [("rollout", 0.5)]
    assert found[0].work.knob_labels[0] == "Sequences at once"


def test_log_probabilities_of_policy_and_reference_are_one_sort_of_work() -> None:
    each = {1: 3.0, 2: 3.0}
    times = known(times_of("grpo", step={1: 10.0, 2: 10.0}, gen={1: 4.0, 2: 4.0},
                           old_log_prob=each, ref=each))  # fmt: skip

    assert [bound.work.slug for bound in bounds(times)] == ["log-prob", "rollout"]


def test_times_of_single_answers_are_not_added() -> None:
    nested = {"timing_s/agent_loop/generate_sequences/max": column({1: 9.0})}
    base = {"timing_s/step": column({1: 10.0}), "timing_s/gen": column({1: 9.5})}
    times = known(step_times(PARTS["grpo"], base | nested))

    assert totals(times) == {"Answers": 9.5, "Not measured": 0.5}
    assert "timing_s/agent_loop/generate_sequences/max" not in metrics_of(PARTS["grpo"])


def test_parts_that_are_longer_than_the_step_are_said_to_overlap() -> None:
    times = known(times_of("grpo", step={1: 10.0}, gen={1: 8.0}, update_actor={1: 6.0}))

    assert (times.overlap, times.is_overlapping) == (4.0, True)
    assert times.whole.tolist() == [14.0]


def test_in_sft_and_dpo_a_save_comes_on_top_and_the_step_is_the_update() -> None:
    times = known(times_of("dpo", step={1: 2.0, 2: 2.0}, save_checkpoint={2: 5.0}))

    assert totals(times) == {"Update": 4.0, "Checkpoint": 5.0}
    assert bounds(times)[0].work.slug == "saving"


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_a_time_that_is_none_is_left_out(value: float) -> None:
    assert times_of("grpo", step={1: value}) is None
    times = known(times_of("grpo", step={1: 10.0, 2: value}, gen={1: value, 2: 3.0}))
    assert (times.steps.tolist(), totals(times)) == ([1], {"Not measured": 10.0})


def test_without_the_time_of_a_step_there_is_nothing() -> None:
    assert times_of("grpo", gen={1: 3.0}) is None
    assert times_of("sft", save_checkpoint={1: 3.0}) is None


def test_many_steps_are_drawn_as_means_of_neighbours() -> None:
    steps = {at: float(at % 2) + 1 for at in range(1, 1001)}
    times = known(times_of("grpo", step=steps, gen=steps))
    thin = thinned(times, 100)

    assert (len(thin), thin.steps[0], thin.steps[1]) == (100, 1, 11)
    assert set(thin.whole.tolist()) == {1.5}
    assert thinned(times, 2000) is times


def test_the_areas_lie_on_each_other() -> None:
    times = known(times_of("grpo", step={1: 10.0, 2: 20.0}, gen={1: 5.0, 2: 10.0}))
    lower, upper = drawing.shapes(times, 20.0)

    # 5 of 20 seconds are a quarter of the height, which SVG counts from above.
    assert lower.path == "M0 160.0V120.0H500.0V80.0H1000.0V160.0H500.0V160.0H0.0Z"
    assert upper.path == "M0 120.0V80.0H500.0V0.0H1000.0V80.0H500.0V120.0H0.0Z"
    assert [(bar.begins, bar.long) for bar in drawing.bars(times)] == [(0.0, 50.0), (50.0, 50.0)]
