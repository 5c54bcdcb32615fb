"""Near duplicates by MinHash and banding; numpy holds the bands, so a million rows stay small."""

import re
from array import array
from collections.abc import Iterator, Sequence

import numpy as np
from rensa import RMinHash  # type: ignore[import-untyped]

PERMUTATIONS, BANDS = 64, 8  # bands of 8 find half of the pairs at 0.77, 0.02 % of those at 0.3
ALIKE = 0.8
SEED = 7
WORDS, LETTERS = 3, 8
WORD = re.compile(r"\w+")


class NearDuplicates:
    """Collects texts in order, then finds those that are nearly equal to an earlier one.

    Texts are compared by their runs of three words (of eight letters where words are long, as in
    scripts without spaces). It holds 256 bytes a text.
    """

    def __init__(self) -> None:
        self._digests: list[np.ndarray] = []
        self._count = 0

    def add(self, texts: Sequence[str]) -> None:
        tokens = [_tokens(text) for text in texts]
        hashed = RMinHash.hash_token_sets(tokens)
        flat, offsets = array("Q"), array("Q", [0])
        for hashes, token in zip(hashed, tokens, strict=True):
            flat.extend(_runs(hashes, len(token)))
            offsets.append(len(flat))
        matrix = RMinHash.digest_matrix_from_flat_token_hashes(
            np.frombuffer(flat, np.uint64), np.frombuffer(offsets, np.uint64), PERMUTATIONS, SEED
        )
        self._digests.append(np.array(matrix.to_rows(), dtype=np.uint32))
        self._count += len(texts)

    def groups(self) -> "np.ndarray":
        """For each text, the number of the earliest text that it resembles (maybe its own)."""
        if not self._count:
            return np.zeros(0, np.int64)
        digests = np.concatenate(self._digests)
        self._digests = []
        leaders = np.arange(self._count)
        width = PERMUTATIONS // BANDS
        for band in range(BANDS):
            part = np.ascontiguousarray(digests[:, band * width : (band + 1) * width])
            for earlier, later in _meeting(part):
                alike = (digests[earlier] == digests[later]).mean(axis=1) >= ALIKE
                _join(leaders, earlier[alike], later[alike])
        return _roots(leaders)


def _tokens(text: str) -> list[str]:
    words: list[str] = WORD.findall(text.lower())
    if len(text) > 20 * max(1, len(words)):
        text = "".join(words)
        return [text[at : at + LETTERS] for at in range(max(1, len(text) - LETTERS + 1))]
    return words


def _runs(hashes: Sequence[int], count: int) -> Sequence[int]:
    """Hashes of runs of words, computed from the hashes of the words."""
    if count < WORDS:
        return [sum(h * (2 * place + 1) for place, h in enumerate(hashes)) % 2**64]
    one = np.array(hashes, dtype=np.uint64)
    mixed = one[2:] + one[1:-1] * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= one[:-2] * np.uint64(0xC2B2AE3D27D4EB4F)
    runs: list[int] = mixed.tolist()
    return runs


def _meeting(part: "np.ndarray") -> Iterator[tuple["np.ndarray", "np.ndarray"]]:
    """Pairs of rows that are equal in this band: each row with the first of its bucket."""
    keys = part.view(np.dtype((np.void, part.dtype.itemsize * part.shape[1]))).ravel()
    order = np.argsort(keys, kind="stable")
    sorted_keys = keys[order]
    same = sorted_keys[1:] == sorted_keys[:-1]
    starts = np.flatnonzero(np.concatenate([[True], ~same]))
    first = np.repeat(order[starts], np.diff(np.append(starts, len(order))))
    later = np.flatnonzero(first != order)
    for at in range(0, len(later), 100_000):
        chosen = later[at : at + 100_000]
        yield first[chosen], order[chosen]
    neighbours = np.flatnonzero(same)  # alike neighbours may differ from their first
    for at in range(0, len(neighbours), 100_000):
        chosen = neighbours[at : at + 100_000]
        yield order[chosen], order[chosen + 1]


def _join(leaders: "np.ndarray", earlier: "np.ndarray", later: "np.ndarray") -> None:
    for one, other in zip(earlier.tolist(), later.tolist(), strict=True):
        left, right = _root(leaders, one), _root(leaders, other)
        leaders[max(left, right)] = min(left, right)


def _root(leaders: "np.ndarray", at: int) -> int:
    while leaders[at] != at:
        leaders[at] = leaders[leaders[at]]
        at = int(leaders[at])
    return at


def _roots(leaders: "np.ndarray") -> "np.ndarray":
    while True:
        further = leaders[leaders]
        if (further == leaders).all():
            return leaders
        leaders = further
