"""Compiled rows as Arrow tables, and as texts for comparison."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from datasets.formats.jsontext import dumps
from datasets.formats.turns import first_prompt

TURNS = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
REWARD = pa.struct([("style", pa.string()), ("ground_truth", pa.string())])
COLUMNS: Mapping[str, tuple[tuple[str, pa.DataType], ...]] = {
    "sft": (("messages", TURNS),),
    "rl": (
        ("data_source", pa.string()),
        ("prompt", TURNS),
        ("ability", pa.string()),
        ("reward_model", REWARD),
    ),
    "dpo": (("prompt", TURNS), ("chosen", TURNS), ("rejected", TURNS)),
}
TURN_COLUMNS = ("messages", "prompt", "chosen", "rejected")
MEDIA: Mapping[str, str] = {"images": "<image>", "videos": "<video>", "audios": "<audio>"}
EVERY = pa.schema({"json": pa.large_string()})
REMOVED_COLUMNS: dict[str, pa.DataType] = {
    "line": pa.int64(),
    "code": pa.string(),
    "message": pa.string(),
    "json": pa.large_string(),
}
REMOVED = pa.schema(REMOVED_COLUMNS)
ROW_GROUP = 2_000


def writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """A parquet writer with zstd. Dictionaries would cost more than they save on texts."""
    return pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=False)


def batches(path: Path, size: int = ROW_GROUP) -> Iterator[list[dict[str, Any]]]:
    """Rows in lists. Raises ValueError with a sentence when the file cannot be read."""
    try:
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=2**20) as file:
            for batch in file.iter_batches(batch_size=size, use_threads=False):
                yield batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path.name} cannot be read: {str(error)[:200]}") from None


def turns_text(turns: Sequence[Mapping[str, Any]] | None) -> str:
    """Turns as one text with their roles, so that equal words of other roles differ."""
    return "\n".join(f"{turn['role']}\t{turn['content']}{more_text(turn)}" for turn in turns or ())


def more_text(turn: Mapping[str, Any]) -> str:
    """What a turn holds beside its text, as text: two tool calls differ by it."""
    more = {
        key: value
        for key, value in turn.items()
        if key not in ("role", "content") and value is not None
    }
    return f"\t{dumps(more).decode()}" if more else ""


def prompt_text(row: Mapping[str, Any], target: str) -> str:
    """The prompt without case and spacing: rows that share it belong together."""
    turns = first_prompt(row["messages"] or []) if target == "sft" else row["prompt"]
    return " ".join(turns_text(turns).lower().split())


def whole_text(row: Mapping[str, Any], target: str) -> str:
    """All parts of a row that a model learns from: the row without extra_info."""
    if target == "sft":
        return turns_text(row["messages"])
    if target == "dpo":
        return "\f".join(turns_text(row[name]) for name in ("prompt", "chosen", "rejected"))
    truth = (row["reward_model"] or {}).get("ground_truth")
    return f"{turns_text(row['prompt'])}\f{row['data_source']}\f{truth}"


def spoken_text(row: Mapping[str, Any], target: str) -> str:
    """The words of a row, for near duplicates: the conversation, or the prompt of RL."""
    names = {"sft": ("messages",), "rl": ("prompt",), "dpo": ("prompt", "chosen")}[target]
    return "\n".join(turn["content"] or "" for name in names for turn in row[name] or ())
