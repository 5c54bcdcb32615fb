"""Read columns, row count and first rows of a parquet file without loading it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

# What the trainers of verl 0.9 read, by what the data is for.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "sft": ("messages",),
    "dpo": ("prompt", "chosen", "rejected"),
    "rl": ("data_source", "prompt", "reward_model"),
}


@dataclass(frozen=True)
class ParquetFacts:
    """Column names with their Arrow type as text, and the number of rows."""

    columns: Mapping[str, str]
    rows: int


def read_facts(path: Path) -> ParquetFacts:
    """Read a file's footer. Raises ``ValueError`` with a sentence when it is not parquet."""
    if path.is_dir():
        raise ValueError(f"{path} is a folder; a parquet file is needed.")
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            columns = {name: str(schema.field(name).type) for name in schema.names}
            return ParquetFacts(columns, file.metadata.num_rows)
    except FileNotFoundError:
        raise ValueError(f"There is no file {path}.") from None
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} is not a parquet file: {_short(error)}") from None


MESSAGES = (
    "messages",
    "prompt",
    "chosen",
    "rejected",
)  # columns that hold lists of {role, content}


def column_problem(
    target: str, facts: ParquetFacts, renamed: Mapping[str, str] | None = None, reader: str = ""
) -> str | None:
    """Say which columns are missing for ``target`` (sft, dpo or rl) and which are there, or None.

    ``reader`` is what the sentence calls who reads them.
    ``renamed`` gives the name that a column has in this file where it is not verl's default.
    """
    names = {name: (renamed or {}).get(name, name) for name in COLUMNS[target]}
    missing = [name for name in names.values() if name not in facts.columns]
    if not missing:
        return _message_problem(facts, [names[name] for name in MESSAGES if name in names])
    has = ", ".join(facts.columns) or "none"
    needs, who = ", ".join(COLUMNS[target]), reader or target.upper()
    return f"No column {', '.join(missing)}. {who} reads {needs}; the file has: {has}."


def _message_problem(facts: ParquetFacts, columns: list[str]) -> str | None:
    for name in columns:
        if "list<" not in facts.columns[name]:
            has = facts.columns[name]
            return f"Column {name} holds {has}; verl reads a list of {{role, content}} there."
    return None


def _short(value: object, width: int = 200) -> str:
    text = str(value)
    return text if len(text) <= width else text[: width - 1] + "…"
