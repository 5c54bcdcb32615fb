"""The output of an import: rows.parquet and problems.jsonl, with counts."""

from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from datasets.formats.codes import RowProblem
from datasets.formats.columns import LONGEST_NAME, MOST_FIELDS
from datasets.formats.jsontext import excerpt, kind

ROWS = 2_000
BYTES = 8 * 2**20
MOST_PROBLEMS = 10_000
EXAMPLES = 5
COLUMNS: dict[str, pa.DataType] = {"line": pa.int64(), "json": pa.large_string()}
SCHEMA = pa.schema(COLUMNS)


class Sink:
    """Writes rows and problems in bounded memory. The files are complete once it is closed."""

    def __init__(self, folder: Path, max_rows: int) -> None:
        self.rows = 0
        self.problem_counts: Counter[str] = Counter()
        self.examples: list[dict[str, Any]] = []
        self._max_rows = max_rows
        self._signatures: Counter[tuple[Any, ...]] = Counter()
        self._fields: dict[str, Counter[str]] = {}
        self._lines: list[int] = []
        self._jsons: list[bytes] = []
        self._bytes = 0
        self._writer = pq.ParquetWriter(
            folder / "rows.parquet", SCHEMA, compression="zstd", use_dictionary=False
        )
        self._thread = ThreadPoolExecutor(1)  # it compresses while the next rows are parsed
        self._packing: Future[None] | None = None
        self._problems = (folder / "problems.jsonl").open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._flush()
                self._packed()
        finally:
            self._thread.shutdown()
            self._problems.close()
            self._writer.close()

    def add(self, line: int, data: dict[str, Any], text: bytes) -> None:
        self._lines.append(line)
        self._jsons.append(text)
        self._bytes += len(text)
        self._signatures[(*data, *map(type, data.values()))] += 1
        if len(self._jsons) >= ROWS or self._bytes >= BYTES:
            self._flush()

    def refuse(self, line: int, problem: RowProblem, raw: bytes | str) -> None:
        """Count a row that cannot be used, and keep its line and the reason."""
        self.problem_counts[problem.code] += 1
        if self.problem_counts.total() > MOST_PROBLEMS:
            return
        told = {
            "line": line,
            "code": problem.code,
            "message": problem.message,
            "excerpt": excerpt(raw),
        }
        self._problems.write(orjson.dumps(told) + b"\n")
        if self.problem_counts[problem.code] <= EXAMPLES:
            self.examples.append(told)

    @property
    def fields(self) -> dict[str, dict[str, Any]]:
        """For each field, the number of rows that have it, and the types of its values."""
        return {
            excerpt(name, LONGEST_NAME): {"types": dict(types), "count": types.total()}
            for name, types in self._fields.items()
        }

    def _flush(self) -> None:
        self._packed()
        if self._jsons:
            self._packing = self._thread.submit(self._pack, self._lines, self._jsons)
            self.rows += len(self._jsons)
        if self.rows > self._max_rows:
            raise ValueError(f"It has more rows than the limit of {self._max_rows}.")
        self._lines, self._jsons, self._bytes = [], [], 0
        self._count_fields()

    def _pack(self, lines: list[int], jsons: list[bytes]) -> None:
        texts = pa.array(jsons, pa.large_binary()).cast(pa.large_string())
        table = pa.table([pa.array(lines, pa.int64()), texts], schema=SCHEMA)
        self._writer.write_table(table, row_group_size=len(jsons))

    def _packed(self) -> None:
        """Wait until the current rows are written. Raises the writer's error."""
        packing, self._packing = self._packing, None
        if packing:
            packing.result()

    def _count_fields(self) -> None:
        for signature, count in self._signatures.items():
            half = len(signature) // 2
            for name, type_ in zip(signature[:half], signature[half:], strict=True):
                if name in self._fields or len(self._fields) < MOST_FIELDS:
                    self._fields.setdefault(name, Counter())[_NAMES.get(type_, "str")] += count
        self._signatures.clear()


_SAMPLES: tuple[Any, ...] = ({}, [], "", True, 1, 1.5, None)
_NAMES = {type(value): kind(value) for value in _SAMPLES}
