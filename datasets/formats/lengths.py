"""Lengths of rows: percentiles, histogram, and the loss by truncation at a limit."""

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np

PERCENTILES = (1, 5, 25, 50, 75, 95, 99, 100)
BINS = 20


class LengthCounts:
    """Collects lengths in tokens; it holds four bytes a row."""

    def __init__(self, max_length: int | None) -> None:
        self._max = max_length
        self._lengths = array("i")

    def add(self, lengths: Sequence[int]) -> None:
        self._lengths.extend(length for length in lengths if length >= 0)

    def to_json(self) -> dict[str, Any]:
        """``over`` counts the rows, ``dropped_tokens`` the tokens beyond the limit."""
        found = np.frombuffer(self._lengths, dtype=np.intc)
        if not len(found):
            return {"counted": 0, "percentiles": {}, "histogram": [], "over": 0,
                    "dropped_tokens": 0, "mean": 0.0, "max": 0}  # fmt: skip
        over = np.maximum(found.astype(np.int64) - (self._max or int(found.max())), 0)
        return {
            "counted": len(found),
            "percentiles": {str(p): float(np.percentile(found, p)) for p in PERCENTILES},
            "histogram": histogram(found, BINS),
            "mean": float(found.mean()),
            "max": int(found.max()),
            "over": int((over > 0).sum()),
            "dropped_tokens": int(over.sum()),
        }


def histogram(values: "np.ndarray", bins: int) -> list[dict[str, float]]:
    """Counts in at most ``bins`` equal intervals, both ends included.

    Whole numbers have whole steps: "from" 10 "to" 14 holds 10, 11, 12, 13 and 14.
    """
    if np.issubdtype(values.dtype, np.integer):
        low, high = int(values.min()), int(values.max())
        step = -(-(high - low + 1) // bins)
        counts, edges = np.histogram(values, bins=np.arange(low, high + step + 1, step))
        ends = edges[1:] - 1
    else:
        counts, edges = np.histogram(values, bins=bins)
        ends = edges[1:]
    return [
        {"from": float(start), "to": float(end), "count": int(count)}
        for start, end, count in zip(edges[:-1], ends, counts, strict=True)
    ]
