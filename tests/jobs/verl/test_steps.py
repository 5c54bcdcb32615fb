import pytest

from jobs.verl.steps import promised, rows_used, steps_per_epoch
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
