"""Duplicate rows: exact, near, and in both training and validation."""

import hashlib
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from datasets.formats.near import NearDuplicates
from datasets.formats.tables import prompt_text, spoken_text, whole_text


class Duplicates:
    """Collects rows, those of training first. It holds about 300 bytes a row."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._whole, self._prompts = array("Q"), array("Q")
        self._near = NearDuplicates()

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._whole.extend(_hash(whole_text(row, self._target)) for row in rows)
        self._prompts.extend(_hash(prompt_text(row, self._target)) for row in rows)
        self._near.add([spoken_text(row, self._target) for row in rows])

    def found(self, rows_train: int) -> dict[str, "np.ndarray"]:
        """Row numbers by code. The first row of a group of duplicates is not included."""
        exact = _first_of(np.frombuffer(self._whole, np.uint64))
        near = self._near.groups()
        own = np.arange(len(exact))
        is_copy = exact != own
        prompts = np.frombuffer(self._prompts, np.uint64)
        overlap = (own >= rows_train) & np.isin(prompts, prompts[:rows_train])
        near_copy = (near != own) & ~is_copy
        near_overlap = (own >= rows_train) & (near < rows_train) & ~overlap
        return {
            "duplicate": np.flatnonzero(is_copy),
            "near_duplicate": np.flatnonzero(near_copy),
            "overlap": np.flatnonzero(overlap),
            "near_overlap": np.flatnonzero(near_overlap),
        }


def _first_of(hashes: "np.ndarray") -> "np.ndarray":
    """For each row, the number of the first row with the same hash."""
    _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    return first[inverse]


def _hash(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
