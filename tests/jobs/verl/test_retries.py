import pytest

from jobs.verl.retries import Crash, decide

OOM = "RuntimeError: CUDA out of memory"


@pytest.mark.parametrize(("retried", "wait"), [(0, 30), (1, 60), (2, 120), (5, 900), (9, 900)])
def test_each_wait_is_twice_the_one_before_up_to_a_quarter_of_an_hour(
    retried: int, wait: float
) -> None:
    decision = decide(Crash(12, 0, 1, OOM), "", retried, 10)
    assert decision.wait == wait
    assert decision.why == f"Goes on by itself in {wait:.0f} s: retry {retried + 1} of 10."


def test_without_a_policy_nothing_is_tried_and_nothing_said() -> None:
    decision = decide(Crash(12, 0, 1, OOM), "", 0, 0)
    assert (decision.wait, decision.why) == (None, "")


def test_retries_are_used_up() -> None:
    decision = decide(Crash(12, 0, 1, OOM), "", 3, 3)
    assert (decision.wait, decision.why) == (None, "All 3 retries are used up.")


def test_the_same_error_at_the_same_step_would_come_again() -> None:
    crash = Crash(12, 8, 1, OOM)
    assert decide(crash, "12: " + OOM, 1, 3).wait is None
    assert decide(crash, "11: " + OOM, 1, 3).wait == 60
    assert decide(crash, "12: something else", 1, 3).wait == 60


def test_an_error_without_words_repeats_too() -> None:
    crash = Crash(12, 8, 1, "")
    assert crash.mark == "12: exit code 1"
    assert decide(crash, crash.mark, 1, 3).wait is None
    assert decide(crash, "12: exit code 2", 1, 3).wait == 60


@pytest.mark.parametrize("exit_code", [137, None])
def test_a_signal_without_words_may_have_any_cause(exit_code: int | None) -> None:
    crash = Crash(12, 8, exit_code, "")
    assert crash.mark == ""
    assert decide(crash, crash.mark, 1, 3).wait == 60


def test_what_differs_by_chance_makes_no_other_error() -> None:
    words = "RuntimeError: actor {} (pid={}) at 0x{} is gone, step 7"
    first = Crash(12, 8, 1, words.format("ab12cd34ef", 71, "7f00"))
    second = Crash(12, 8, 1, words.format("0123456789", 8123, "9a"))
    assert first.mark == second.mark
    assert first.mark != Crash(12, 8, 1, words.format("x", 1, "1").replace("7", "8")).mark


@pytest.mark.parametrize(
    ("exit_code", "again"),
    [(1, False), (2, False), (137, True), (139, True), (None, True)],
)
def test_before_its_first_step_only_a_signal_or_a_vanished_process_is_tried_again(
    exit_code: int | None, again: bool
) -> None:
    for began_at in (0, 20):
        decision = decide(Crash(began_at, began_at, exit_code, ""), "", 0, 3)
        assert (decision.wait is not None) is again
