"""Read columns, row count and first rows of a parquet file without loading it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

# The columns that each trainer of verl 0.9 reads.
RL = ("data_source", "prompt", "reward_model")
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "sft": ("messages",),
    "dpo": ("prompt", "chosen", "rejected"),
    "ppo": RL,
    "grpo": RL,
    "gspo": RL,
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
    kind: str, facts: ParquetFacts, renamed: Mapping[str, str] | None = None
) -> str | None:
    """A sentence with the columns that a kind of run misses and those that are there, or None.

    ``renamed`` maps verl's default column names to this file's names.
    """
    names = {name: (renamed or {}).get(name, name) for name in COLUMNS[kind]}
    missing = [name for name in names.values() if name not in facts.columns]
    if not missing:
        return _message_problem(facts, [names[name] for name in MESSAGES if name in names])
    has = ", ".join(facts.columns) or "none"
    needs = ", ".join(COLUMNS[kind])
    return f"No column {', '.join(missing)}. {kind.upper()} reads {needs}; the file has: {has}."


def _message_problem(facts: ParquetFacts, columns: list[str]) -> str | None:
    for name in columns:
        if "list<" not in facts.columns[name]:
            has = facts.columns[name]
            return f"Column {name} holds {has}; verl reads a list of {{role, content}} there."
    return None


def _short(value: object, width: int = 200) -> str:
    text = str(value)
    return text if len(text) <= width else text[: width - 1] + "…"
