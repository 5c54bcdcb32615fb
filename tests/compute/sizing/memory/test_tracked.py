"""The estimate against peaks that the tracker measured.

``tracked.jsonl`` and ``tracked_whole.jsonl`` hold cells of ``python -m tests.bench.tracker draw``
of the environment verl-0.9. Some of them showed a fault that was mended after them, as said below.

The first: ``--seed 7001 --layers 5 --kinds dense`` and ``--seed 7100 --layers 4``. The second:
``--seed 8201 --kinds dense`` and ``--seed 8300``, of whole models; ``--seed 8600 --kinds near``,
near what a card holds; and ``--seed 8700 --layers 8`` of mixtures. What these showed was mended
before ``--seed 8800 --layers 6 --kinds dense`` and ``--seed 8900 --layers 7`` were looked at.
One of the last, a pass without gradient under FSDP1 of few tokens and a large mixture, was missed
by 12 per cent, and mended then.
"""

import statistics
from pathlib import Path

import pytest

from tests.bench.tracker.compare import (
    CARDS,
    GIB,
    error_of,
    estimated,
    is_dense_update,
    read,
    truth,
)

FILES = [Path(__file__).with_name(name) for name in ("tracked.jsonl", "tracked_whole.jsonl")]
ROWS = list(read(FILES))
DENSE = [(cell, found) for cell, found in ROWS if is_dense_update(cell)]
OTHERS = [(cell, found) for cell, found in ROWS if not is_dense_update(cell)]
SURE = 0.002  # of a card: below that two figures are the same


def test_both_ways_of_sharding_are_held_to_account() -> None:
    assert {cell.strategy for cell, _ in DENSE} == {"fsdp", "fsdp2"}
    assert len(DENSE) >= 60
    assert len(OTHERS) >= 60


def test_dense_updates_are_within_a_thousandth_on_average_and_never_far_too_low() -> None:
    errors = [error_of(cell, found) for cell, found in DENSE]
    assert statistics.mean(abs(one) for one in errors) <= 0.001
    assert min(errors) >= -0.005
    assert max(errors) <= 0.01


def test_other_settings_are_within_half_a_per_cent_on_average() -> None:
    errors = [error_of(cell, found) for cell, found in OTHERS]
    assert statistics.mean(abs(one) for one in errors) <= 0.005
    assert min(errors) >= -0.005
    assert max(errors) <= 0.03


@pytest.mark.parametrize("gib", CARDS)
def test_no_update_is_said_to_fit_that_does_not_nor_the_other_way_round(gib: int) -> None:
    near = 0
    for cell, found in DENSE:
        peak, room = truth(cell, found), gib * GIB
        near += abs(peak / room - 1) <= 0.1
        if abs(peak / room - 1) > SURE:
            assert (estimated(cell) <= room) == (peak <= room), cell
    assert near >= 3
