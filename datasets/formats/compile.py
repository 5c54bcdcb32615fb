"""Compile an import into a version: train.parquet, val.parquet, removed.parquet."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from datasets.formats.carried import Carried
from datasets.formats.codes import RowProblem
from datasets.formats.jsontext import dumps, excerpt, read
from datasets.formats.kept import Kept
from datasets.formats.mapping import ColumnMapping, converted, value_at
from datasets.formats.splitting import Groups, Split, divide
from datasets.formats.staging import Progress, staged
from datasets.formats.tables import EVERY, REMOVED, ROW_GROUP, prompt_text, writer
from datasets.formats.written import hash_of
from platform_site.counts import counted

__all__ = ["Compiled", "Keep", "Removed", "Split", "compile_version", "compiled"]

Keep = Callable[[dict[str, Any]], RowProblem | None]
EXAMPLES = 5


@dataclass
class Compiled:
    """A version's files. ``sha256`` is the hash of the text "<train's sha256> <val's sha256>"."""

    rows_train: int
    rows_val: int
    bytes: int
    sha256: str
    problem_counts: dict[str, int] = field(default_factory=dict)
    examples: list[dict[str, Any]] = field(default_factory=list)
    lost: dict[str, int] = field(default_factory=dict)  # name -> rows whose value is not carried

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def compile_version(
    source: Path,
    out_dir: Path,
    mapping: ColumnMapping,
    split: Split,
    *,
    keep: Keep | None = None,
    progress: Progress | None = None,
) -> Compiled:
    """Compile a rows.parquet. The same input gives the same bytes.

    ``keep`` gets each converted row and may return a reason to leave it out. Raises ValueError with
    a sentence when no version can be made, and then leaves ``out_dir`` unchanged.
    """
    problems = [*mapping.problems(), *split.problems()]
    if problems:
        raise ValueError(" ".join(problems))
    with staged(out_dir) as folder:
        every = folder / "every.parquet"
        with Removed(folder) as removed:
            work = Conversion(mapping, split, removed, keep)
            work.write(source, every, progress)
        groups = work.groups
        _must_have_rows(groups, removed)
        rows_val = divide(every, folder, groups.validation(split), work.carried)
        every.unlink()
        made = compiled(folder, len(groups) - rows_val, rows_val, removed)
        return replace(made, lost=dict(work.lost.most_common()))


class Removed:
    """Writer of removed.parquet: the rows that are left out, their counts and a few examples."""

    def __init__(self, folder: Path) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: list[dict[str, Any]] = []
        self._rows: list[dict[str, Any]] = []
        self._writer = writer(folder / "removed.parquet", REMOVED)

    def __enter__(self) -> "Removed":
        return self

    def __exit__(self, *error: object) -> None:
        self._flush()
        self._writer.close()

    def add(self, line: int, problem: RowProblem, text: str) -> None:
        self.counts[problem.code] += 1
        told = {"line": line, "code": problem.code, "message": problem.message}
        if self.counts[problem.code] <= EXAMPLES:
            self.examples.append({**told, "excerpt": excerpt(text)})
        self._rows.append({**told, "json": text})
        if len(self._rows) >= ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=REMOVED))
        self._rows = []


def compiled(folder: Path, rows_train: int, rows_val: int, removed: Removed) -> Compiled:
    """The facts of the version that was made in a folder."""
    size, sha256 = hash_of(folder / "train.parquet", folder / "val.parquet")
    return Compiled(
        rows_train, rows_val, size, sha256, dict(removed.counts), list(removed.examples)
    )


class Conversion:
    """Rows on their way to a trainer's: their groups, their types, and what is lost of them."""

    def __init__(
        self, mapping: ColumnMapping, split: Split, removed: Removed, keep: Keep | None
    ) -> None:
        self.groups = Groups(split.seed)
        self.kept = Kept(mapping)
        self.carried = Carried(mapping.target, self.kept)
        self.lost: Counter[str] = Counter()
        self._mapping, self._split, self._removed, self._keep = mapping, split, removed, keep

    def write(self, source: Path, every: Path, progress: Progress | None) -> None:
        """Write all rows that convert into one file, as JSON: their types are known at the end."""
        with writer(every, EVERY) as out:
            for lines, texts in _batches(source, progress):
                found = map(self._made, lines, texts)
                rows = [row.decode() for row in found if row is not None]
                if rows:
                    out.write_table(pa.table({"json": rows}, schema=EVERY))

    def _made(self, line: int, text: str) -> bytes | None:
        data = read(text)
        try:
            row, lost = converted(data, self._mapping, len(self.groups), line, "")
            if self._keep and (problem := self._keep(row)):
                raise problem
            self.carried.add(row)
        except RowProblem as problem:
            self._removed.add(line, problem, text)
            return None
        self.kept.add(row["extra_info"])
        self.lost.update(lost)
        self.groups.add(_group(data, row, self._mapping, self._split))
        return dumps(row)


def _group(
    data: dict[str, Any], row: dict[str, Any], mapping: ColumnMapping, split: Split
) -> bytes:
    value = value_at(data, split.group_by) if split.group_by else None
    return prompt_text(row, mapping.target).encode() if value is None else dumps(value)


def _batches(source: Path, progress: Progress | None) -> Iterator[tuple[list[int], list[str]]]:
    done = 0
    with pq.ParquetFile(source, pre_buffer=False, buffer_size=2**20) as file:
        total = file.metadata.num_rows
        for batch in file.iter_batches(batch_size=ROW_GROUP, use_threads=False):
            lines: list[Any] = batch["line"].to_pylist()
            texts: list[Any] = batch["json"].to_pylist()
            yield lines, texts
            done += len(batch)
            if progress:
                progress(done, total)


def _must_have_rows(groups: Groups, removed: Removed) -> None:
    if len(groups):
        return
    first = removed.examples[0] if removed.examples else {"line": 0, "message": "It has no rows."}
    raise ValueError(
        f"None of {counted(removed.counts.total(), 'row')} can be converted by this mapping. "
        f"Line {first['line']}: {first['message']}"
    )
