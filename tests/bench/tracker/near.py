"""Cells whose peak is near what a card holds, where an error of the estimate would be a wrong
verdict."""

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import count

from tests.bench.tracker.cells import Cell, dense_cells, other_cells
from tests.bench.tracker.compare import CARDS, GIB, estimated

WITHIN = 0.1  # of the card
STEP = 128  # tokens
MOST = 512  # steps
OTHERS = ("lora", "critic", "entropy", "pairs", "parallel", "mixture")


def near_cells(seed: int) -> Iterator[Cell]:
    """Updates, two thirds of them dense, with so many tokens that the estimate is near a card."""
    draw = random.Random(seed)
    dense, others = dense_cells(seed + 1), other_cells(seed + 2, OTHERS)
    for at in count():
        cell = next(others if at % 3 == 2 else dense)
        wanted = draw.choice(CARDS) * GIB * draw.uniform(1 - WITHIN, 1 + WITHIN)
        found = _sized(cell, wanted)
        if found and found.task == "update":
            yield found


def _sized(cell: Cell, wanted: float) -> Cell | None:
    """With the most tokens whose estimate is within ``wanted`` bytes, if it comes close to it."""
    low, high = 0, MOST
    while high - low > 1:
        middle = (low + high) // 2
        if estimated(replace(cell, tokens=STEP * middle)) <= wanted:
            low = middle
        else:
            high = middle
    if not low:
        return None
    found = replace(cell, tokens=STEP * low)
    return found if estimated(found) >= 0.98 * wanted else None
