"""Check a compiled version, and report what is wrong with its rows."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from datasets.formats.codes import CODES
from datasets.formats.duplicates import Duplicates
from datasets.formats.faults import faults_of
from datasets.formats.jsontext import excerpt
from datasets.formats.lengths import LengthCounts
from datasets.formats.staging import Progress
from datasets.formats.tables import batches, whole_text

__all__ = ["CODES", "Lengths", "Look", "Report", "check"]

Lengths = Callable[[list[dict[str, Any]]], list[int]]
EXAMPLES = 5
MOST_SOURCES = 100


@dataclass
class Report:
    """``faults``: code -> {"count", "examples": [{"split", "row", "line", "excerpt"}]}, for the
    codes that were found. ``lengths``: {"percentiles": {"50": n, …}, "histogram": [{"from", "to",
    "count"}], "mean", "max", "over", "dropped_tokens", "counted"} or None without a tokenizer."""

    rows_train: int
    rows_val: int
    faults: dict[str, dict[str, Any]] = field(default_factory=dict)
    lengths: dict[str, Any] | None = None
    sources: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The report as JSON; "counts" gives the number of rows for each code found."""
        counts = {code: found["count"] for code, found in self.faults.items()}
        return {**asdict(self), "counts": counts}


def check(
    train: Path,
    val: Path | None,
    target: str,
    *,
    lengths: Lengths | None = None,
    max_length: int | None = None,
    known_sources: Collection[str] | None = None,
    progress: Progress | None = None,
) -> Report:
    """Check the rows of a version. Raises ValueError when a file cannot be read."""
    look = Look(train, val, target, lengths, max_length, known_sources)
    for _ in look.rows(progress):
        pass
    return look.report()


class Look:
    """One pass over both files, which finds the faults of each row."""

    def __init__(
        self,
        train: Path,
        val: Path | None,
        target: str,
        lengths: Lengths | None,
        max_length: int | None,
        known_sources: Collection[str] | None,
    ) -> None:
        self._paths = [("train", train)] + ([("val", val)] if val else [])
        self._target, self._lengths, self._known = target, lengths, known_sources
        self._max_length = max_length
        self.counts = {"train": 0, "val": 0}
        self.own: dict[str, list[int]] = {}  # code -> row numbers, counted over both files
        self._sources: Counter[str] = Counter()
        self._length_counts = LengthCounts(max_length)
        self._duplicates = Duplicates(target)

    def rows(self, progress: Progress | None = None) -> Iterator[None]:
        total, start = self._total(), 0
        for split, path in self._paths:
            for rows in batches(path):
                self._look(rows, start, split)
                start += len(rows)
                if progress:
                    progress(start, total)
                yield

    def found(self) -> dict[str, "np.ndarray"]:
        """Row numbers by code; validation rows are numbered after the training rows."""
        own = {code: np.array(numbers) for code, numbers in self.own.items()}
        return {**own, **self._duplicates.found(self.counts["train"])}

    def report(self) -> Report:
        """All counts, with the first rows of each code as examples."""
        found = {code: numbers for code, numbers in self.found().items() if len(numbers)}
        shown = self._examples({int(n) for numbers in found.values() for n in numbers[:EXAMPLES]})
        faults = {
            code: {
                "count": len(found[code]),
                "examples": [shown[int(number)] for number in found[code][:EXAMPLES]],
            }
            for code in CODES
            if code in found
        }
        lengths = self._length_counts.to_json() if self._lengths else None
        sources = dict(self._sources.most_common(MOST_SOURCES))
        return Report(self.counts["train"], self.counts["val"], faults, lengths, sources)

    def _look(self, rows: list[dict[str, Any]], start: int, split: str) -> None:
        self.counts[split] += len(rows)
        for number, row in enumerate(rows, start):
            for code in faults_of(row, self._target, self._known):
                self.own.setdefault(code, []).append(number)
        if self._target == "rl":
            self._sources.update(str(row["data_source"]) for row in rows)
        self._measure(rows, start)
        self._duplicates.add(rows)

    def _measure(self, rows: list[dict[str, Any]], start: int) -> None:
        if not self._lengths:
            return
        lengths = self._lengths(rows)
        self._length_counts.add(lengths)
        for number, length in enumerate(lengths, start):
            if length < 0:
                self.own.setdefault("template_refused", []).append(number)
            elif self._max_length is not None and length > self._max_length:
                self.own.setdefault("over_length", []).append(number)

    def _examples(self, wanted: set[int]) -> dict[int, dict[str, Any]]:
        shown: dict[int, dict[str, Any]] = {}
        start = 0
        for split, path in self._paths:
            with pq.ParquetFile(path, pre_buffer=False) as file:
                end = start + file.metadata.num_rows
                for number in sorted(n for n in wanted if start <= n < end):
                    shown[number] = self._example(file, split, number - start)
            start = end
        return shown

    def _example(self, file: pq.ParquetFile, split: str, number: int) -> dict[str, Any]:
        from datasets.formats.rows import slice_rows

        row: Mapping[str, Any] = slice_rows(file, number, 1).to_pylist()[0]
        line = (row.get("extra_info") or {}).get("line")
        return {
            "split": split,
            "row": number,
            "line": line,
            "excerpt": excerpt(whole_text(row, self._target)),
        }

    def _total(self) -> int:
        total = 0
        for _, path in self._paths:
            try:
                total += int(pq.read_metadata(path).num_rows)
            except (OSError, ValueError) as error:
                raise ValueError(f"{path.name} cannot be read: {str(error)[:200]}") from None
        return total
