"""Queries on a parquet file; DuckDB answers them in bounded memory."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

Filter = tuple[str, str, str]
OPS = ("=", "!=", "contains", "<", "<=", ">", ">=", "missing", "present")
MEMORY = "400MB"
SAMPLE = 1_000
IMPORT = ["line", "json"]


class Query:
    """One file and its fields. A field name reaches SQL only if the file has that field."""

    def __init__(self, path: Path) -> None:
        try:
            with pq.ParquetFile(path) as file:
                self._schema = file.schema_arrow
                self._sample = _sample(file)
        except (pa.ArrowException, OSError) as error:
            raise ValueError(f"{path.name} cannot be read: {str(error)[:200]}") from None
        self._path = str(path)
        self._database = duckdb.connect()
        self._database.execute(f"SET memory_limit = '{MEMORY}'")
        self._database.execute("SET threads = 2")
        self.fields = self._all_fields()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._database.close()

    def run(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of a SELECT, in which ``{file}`` stands for the file. Raises ValueError."""
        source = "read_parquet(?, file_row_number = true)"
        try:
            asked = self._database.execute(sql.replace("{file}", source), [self._path, *values])
            return asked.fetchall()
        except duckdb.Error as error:
            first = str(error).splitlines()[0][:300]
            raise ValueError(f"The rows cannot be searched: {first}") from None

    def matching(self, start: int, count: int, search: str, filters: Sequence[Filter]) -> list[int]:
        """Numbers of the first rows from ``start`` on that match the search and all filters."""
        where = ["file_row_number >= ?"]
        values: list[Any] = [start]
        if search:
            texts = [f'CAST("{_quoted(name)}" AS VARCHAR)' for name in self._schema.names]
            where.append("(" + " OR ".join(f"contains(lower({t}), lower(?))" for t in texts) + ")")
            values += [search] * len(texts)
        for one in filters:
            condition, given = self._condition(*one)
            where.append(condition)
            values += given
        sql = f"SELECT file_row_number FROM {{file}} WHERE {' AND '.join(where)} LIMIT {count:d}"  # noqa: S608
        return sorted(number for (number,) in self.run(sql, values))

    def values_of(self, field: str) -> str:
        """SQL for the list of a field's values in a row. Raises ValueError for an unknown field."""
        if field not in self.fields:
            known = ", ".join(list(self.fields)[:20])
            raise ValueError(f"There is no field {field}. There are: {known}.")
        return self.fields[field][0]

    def is_number(self, field: str) -> bool:
        return self.fields[field][1]

    def _condition(self, field: str, op: str, value: str) -> tuple[str, list[Any]]:
        values = f"list_filter({self.values_of(field)}, lambda x: x IS NOT NULL)"
        if op == "missing":
            return f"coalesce(len({values}), 0) = 0", []
        if op == "present":
            return f"len({values}) > 0", []
        if op not in OPS:
            raise ValueError(f"There is no filter {op!r}; it is one of {', '.join(OPS)}.")
        if op == "contains":
            test, given = "contains(lower(CAST(x AS VARCHAR)), lower(?))", value
        elif self.is_number(field):
            return f"len(list_filter({values}, lambda x: x {op} ?)) > 0", [_number(value)]
        else:
            test, given = f"CAST(x AS VARCHAR) {op} ?", value
        return f"len(list_filter({values}, lambda x: {test})) > 0", [given]

    def _all_fields(self) -> dict[str, tuple[str, bool]]:
        """Dotted name -> (SQL for its list of values, whether they are numbers)."""
        if self._schema.names == IMPORT:
            return _import_fields(self._sample)
        found: dict[str, tuple[str, bool]] = {}
        for column in self._schema:
            _walk(column.name, f'"{_quoted(column.name)}"', column.type, False, found)
        return found


def _walk(
    name: str, sql: str, kind: pa.DataType, is_list: bool, found: dict[str, tuple[str, bool]]
) -> None:
    if pa.types.is_struct(kind):
        for field in kind:
            part = f'"{_quoted(field.name)}"'
            inner = f"list_transform({sql}, lambda x: x.{part})" if is_list else f"({sql}).{part}"
            _walk(f"{name}.{field.name}", inner, field.type, is_list, found)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        _walk(name, f"flatten({sql})" if is_list else sql, kind.value_type, True, found)
    elif not pa.types.is_map(kind):
        number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
        found[name] = (sql if is_list else f"[{sql}]", number)


def _import_fields(sample: list[str]) -> dict[str, tuple[str, bool]]:
    """Fields of the imported objects, as far as the first rows show them."""
    kinds: dict[tuple[str, ...], set[type]] = {}
    for text in sample:
        _paths(orjson.loads(text), (), kinds)
    found = {"line": ('["line"]', True)}
    for path, types in sorted(kinds.items()):
        number = types - {type(None)} <= {int, float} and bool(types - {type(None)})
        pointer = "".join(
            "/" + name.replace("~", "~0").replace("/", "~1") for name in path
        ).replace("'", "''")
        text = f"json_extract_string(json, '{pointer}')"
        found[".".join(path)] = (f"[TRY_CAST({text} AS DOUBLE)]" if number else f"[{text}]", number)
    return found


def _paths(value: Any, path: tuple[str, ...], kinds: dict[tuple[str, ...], set[type]]) -> None:
    if isinstance(value, dict):
        for name, inner in value.items():
            _paths(inner, (*path, name), kinds)
    elif path and not isinstance(value, list):
        kinds.setdefault(path, set()).add(type(value))


def _sample(file: pq.ParquetFile) -> list[str]:
    if file.schema_arrow.names != IMPORT or not file.metadata.num_rows:
        return []
    first = next(file.iter_batches(batch_size=SAMPLE, columns=["json"]))
    return [str(text) for text in first["json"].to_pylist()]


def _quoted(name: str) -> str:
    return name.replace('"', '""')


def _number(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise ValueError(f"{value!r} is not a number, and the field holds numbers.") from None
