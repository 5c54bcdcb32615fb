"""Split rows into training and validation by groups, so that related rows stay together."""

import hashlib
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from datasets.formats.carried import Carried
from datasets.formats.jsontext import read
from datasets.formats.tables import ROW_GROUP, writer


@dataclass(frozen=True)
class Split:
    """The rows for validation: a share (below 1) or a number of rows, drawn with ``seed``.

    Rows with the same value in ``group_by`` (a dotted path in the source; "" is the prompt) stay on
    one side.
    """

    validation: float | int = 0.05
    seed: int = 0
    group_by: str = ""

    def problems(self) -> list[str]:
        if self.validation > 0 and (self.validation < 1 or self.validation == int(self.validation)):
            return []
        return [
            "Validation is a share between 0 and 1, or a number of rows from 1: without rows of "
            "its own a run would take verl's default file."
        ]


class Groups:
    """For each row, a hash of its group; the seed shuffles the order of the hashes."""

    def __init__(self, seed: int) -> None:
        self._salt = seed.to_bytes(16, "little", signed=True)
        self._hashes = array("Q")

    def __len__(self) -> int:
        return len(self._hashes)

    def add(self, group: bytes) -> None:
        digest = hashlib.blake2b(group, digest_size=8, salt=self._salt).digest()
        self._hashes.append(int.from_bytes(digest, "little"))

    def validation(self, split: Split) -> "np.ndarray":
        """A mask of the validation rows. Raises ValueError when one side would be empty."""
        hashes = np.frombuffer(self._hashes, dtype=np.uint64)
        wanted = split.validation * (len(hashes) if split.validation < 1 else 1)
        names, sizes = np.unique(hashes, return_counts=True)
        if len(names) < 2:
            raise ValueError(
                "All rows have the same prompt (or group), so none can be set apart to validate."
            )
        chosen = _draw(sizes, max(1, round(wanted)))
        if chosen.all():
            raise ValueError(f"{round(wanted)} rows to validate would leave none to train.")
        return np.isin(hashes, names[chosen])


def divide(every: Path, folder: Path, validates: "np.ndarray", carried: Carried) -> int:
    """Write train.parquet and val.parquet from all rows; return the number of validation rows."""
    schema, start = carried.schema(), 0
    with (
        pq.ParquetFile(every, pre_buffer=False, buffer_size=2**20) as file,
        writer(folder / "train.parquet", schema) as train,
        writer(folder / "val.parquet", schema) as val,
    ):
        for batch in file.iter_batches(batch_size=ROW_GROUP, use_threads=False):
            mask = validates[start : start + len(batch)]
            texts: list[Any] = batch["json"].to_pylist()
            rows = [carried.completed(read(text), schema) for text in texts]
            for out, is_val, name in ((train, False, "train"), (val, True, "val")):
                part = [row for row, chosen in zip(rows, mask, strict=True) if chosen == is_val]
                for row in part:
                    row["extra_info"]["split"] = name
                if part:
                    out.write_table(pa.Table.from_pylist(part, schema=schema))
            start += len(batch)
    return int(validates.sum())


def _draw(sizes: "np.ndarray", wanted: int) -> "np.ndarray":
    """Take groups in their order while they fit; at least one."""
    chosen = np.cumsum(sizes) <= wanted
    left = wanted - int(sizes[chosen].sum())
    for place in np.flatnonzero(~chosen):
        if left <= 0:
            break
        if sizes[place] <= left:
            chosen[place] = True
            left -= int(sizes[place])
    if not chosen.any():
        chosen[int(np.argmin(sizes))] = True
    return chosen
