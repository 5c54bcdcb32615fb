"""Preference pairs from parquet files, as batches that verl's engine reads."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from trainyard_node.dpo.encode import Pair, encode, truncate
from trainyard_node.dpo.refused import Refused

COLUMNS = ("prompt", "chosen", "rejected")
Batch = dict[str, torch.Tensor]
# (row, weight): a row of weight 0 only fills up a batch and does not count.
Slot = tuple[int, float]


class PairDataset(Dataset[tuple[int, float, Pair]]):
    """Rows of one or more parquet files; each is rendered and truncated when it is read."""

    def __init__(self, files: Sequence[str], tokenizer: Any, data: Mapping[str, Any]) -> None:
        self._tokenizer = tokenizer
        self._max_length, self._truncation = int(data["max_length"]), str(data["truncation"])
        self._options = dict(data.get("apply_chat_template_kwargs") or {})
        tables = [_read(file) for file in files]
        self._sources = [(file, table.num_rows) for file, table in zip(files, tables, strict=True)]
        self._table = _joined(tables)

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __getitem__(self, slot: Slot) -> tuple[int, float, Pair]:
        """One row. Raises Refused with the file and the row in it (the first is 0)."""
        row, weight = slot
        content = {name: self._table.column(name)[row].as_py() for name in COLUMNS}
        try:
            pair = encode(self._tokenizer, content, self._options)
            return row, weight, truncate(pair, self._max_length, self._truncation)
        except Refused as error:
            raise Refused(f"{self._place(row)}: {error}") from None

    def keep(self, rows: int) -> None:
        """Keep only the first `rows`; -1 keeps all."""
        if rows >= 0:
            self._table = self._table.slice(0, rows)

    def _place(self, row: int) -> str:
        for file, rows in self._sources:
            if row < rows:
                return f"{file}, row {row}"
            row -= rows
        return f"row {row}"


def batches(
    dataset: PairDataset, slots: Iterable[Sequence[Slot]], workers: int = 0
) -> Iterator[Batch]:
    """One batch for each list of slots, in order."""
    loader: DataLoader[Any] = DataLoader(
        dataset, batch_sampler=slots, collate_fn=collate, num_workers=workers
    )
    yield from loader


def collate(items: Sequence[tuple[int, float, Pair]]) -> Batch:
    """Two rows a pair, the chosen one first.

    Nested input_ids, position_ids and loss_mask (1 on the answer's tokens); `weight` for each row;
    `rows` and `cut` for each pair.
    """
    sequences = [
        (pair.prompt, answer) for _, _, pair in items for answer in (pair.chosen, pair.rejected)
    ]
    return {
        "input_ids": _nested([[*prompt, *answer] for prompt, answer in sequences]),
        "position_ids": _nested([range(len(p) + len(answer)) for p, answer in sequences]),
        "loss_mask": _nested([[0] * len(p) + [1] * len(answer) for p, answer in sequences]),
        "weight": torch.tensor([weight for _, weight, _ in items for _ in range(2)]),
        "rows": torch.tensor([row for row, _, _ in items]),
        "cut": torch.tensor([pair.cut for _, _, pair in items]),
    }


def pair_tokens(batch: Batch) -> torch.Tensor:
    """(pairs,): the number of tokens of both sequences of each pair."""
    return batch["input_ids"].offsets().diff().view(-1, 2).sum(1)


def _nested(rows: Sequence[Sequence[int]]) -> torch.Tensor:
    tensors = [torch.tensor(list(row), dtype=torch.long) for row in rows]
    return torch.nested.as_nested_tensor(tensors, layout=torch.jagged)


def _read(file: str) -> Any:
    from pyarrow import ArrowException, parquet

    try:
        schema = parquet.read_schema(Path(file).expanduser())
        missing = [name for name in COLUMNS if name not in schema.names]
        if missing:
            raise Refused(f"{file} lacks the column {missing[0]}; DPO reads {', '.join(COLUMNS)}")
        return parquet.read_table(Path(file).expanduser(), columns=list(COLUMNS))
    except (OSError, ArrowException) as error:
        raise Refused(f"{file} cannot be read as parquet: {error}") from None


def _joined(tables: Sequence[Any]) -> Any:
    import pyarrow

    try:
        return pyarrow.concat_tables(tables, promote_options="permissive")
    except pyarrow.ArrowException as error:
        raise Refused(f"the files' columns do not agree: {error}") from None
