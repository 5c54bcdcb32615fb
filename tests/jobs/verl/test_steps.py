import pytest

from jobs.verl.steps import Verdict, judge, promised, rows_used, steps_per_epoch
from tests.factories import grpo_spec, sft_spec


@pytest.mark.parametrize(
    ("rows", "batch", "gpus", "steps"),
    [(2048, 64, 1, 32), (2049, 64, 1, 32), (63, 64, 1, 0), (130, 64, 2, 2), (127, 64, 2, 1)],
)
def test_sft_drops_the_last_part_batch_of_each_rank(
    rows: int, batch: int, gpus: int, steps: int
) -> None:
    assert steps_per_epoch(sft_spec(train_batch_size=batch, gpus=gpus), rows) == steps


def test_a_batch_below_the_ranks_does_not_divide_by_zero() -> None:
    assert steps_per_epoch(sft_spec(train_batch_size=1, gpus=2), 10) == 5


@pytest.mark.parametrize(("rows", "steps"), [(2048, 64), (2047, 63), (31, 0)])
def test_rl_has_one_loader_for_all_ranks(rows: int, steps: int) -> None:
    assert steps_per_epoch(grpo_spec(train_batch_size=32, gpus=4), rows) == steps


@pytest.mark.parametrize(
    ("override", "used"),
    [
        ("data.train_max_samples=100", 100),
        ("data.train_max_samples=5000", 2048),
        ("data.train_max_samples=-1", 2048),
        ("data.val_max_samples=5", 2048),
    ],
)
def test_rows_used(override: str, used: int) -> None:
    assert rows_used(sft_spec(override), 2048) == used


def test_epochs_make_the_promise() -> None:
    assert promised(sft_spec(epochs=2), 2048) == 64


def test_steps_asked_for_go_before_epochs() -> None:
    assert promised(grpo_spec(epochs=4, steps=16), 2048) == 16


def test_fewer_rows_promise_fewer_steps() -> None:
    assert promised(sft_spec("data.train_max_samples=128", epochs=3), 2048) == 6


@pytest.mark.parametrize(
    ("exit_code", "step", "steps", "stop_asked", "verdict"),
    [
        (0, 64, 64, False, Verdict("completed", "All 64 steps done.")),
        (0, 65, 64, False, Verdict("completed", "All 64 steps done.")),
        (0, 64, 64, True, Verdict("completed", "All 64 steps done.")),
        (0, 63, 64, False, Verdict("failed", "Ended without an error, but at step 63 of 64.")),
        (0, 0, 64, False, Verdict("failed", "Ended without an error, but at step 0 of 64.")),
        (
            0,
            5,
            None,
            False,
            Verdict("failed", "Ended without an error at step 5, but promised no steps."),
        ),
        (143, 10, 64, True, Verdict("stopped", "Stopped on request at step 10 of 64.")),
        (0, 10, 64, True, Verdict("stopped", "Stopped on request at step 10 of 64.")),
        (1, 64, 64, True, Verdict("stopped", "Stopped on request at step 64 of 64.")),
        (137, 10, 64, False, Verdict("failed", "Killed by signal 9 at step 10 of 64.")),
    ],
)
def test_verdict(
    exit_code: int, step: int, steps: int | None, stop_asked: bool, verdict: Verdict
) -> None:
    assert judge(exit_code, step, steps, stop_asked) == verdict


@pytest.mark.parametrize(
    ("exit_code", "paused_at", "then_stop", "status", "reason"),
    [
        (0, 20, False, "paused", "Paused after step 20, whose checkpoint is saved."),
        (0, 20, True, "stopped", "Stopped after step 20, whose checkpoint is saved."),
        (1, 20, False, "failed", "Exit code 1 at step 20 of 64."),
        (0, None, False, "failed", "Ended without an error, but at step 20 of 64."),
    ],
)
def test_a_pause_is_one_only_where_the_run_says_so_and_ends_well(
    exit_code: int, paused_at: int | None, then_stop: bool, status: str, reason: str
) -> None:
    verdict = judge(exit_code, 20, 64, False, paused_at, then_stop)
    assert verdict == Verdict(status, reason)


def test_the_last_step_is_completed_even_when_a_pause_was_asked() -> None:
    assert judge(0, 64, 64, False, 64).status == "completed"


def test_an_exit_code_is_named() -> None:
    verdict = judge(1, 64, 64, False)
    assert verdict.status == "failed"
    assert verdict.reason.startswith("Exit code 1 at step 64 of 64.")
