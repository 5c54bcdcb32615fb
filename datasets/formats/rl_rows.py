"""The first rows of RL data, on which a reward function is tried."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

COLUMNS = ("data_source", "prompt", "reward_model")
SCORED = ("data_source", "reward_model")  # a run may name the prompt otherwise


def rl_rows(path: Path, count: int, columns: Sequence[str] = COLUMNS) -> list[dict[str, Any]]:
    """The first rows of an RL parquet file, which must have the columns. Raises ValueError with a
    sentence."""
    try:
        with pq.ParquetFile(path) as file:
            missing = [name for name in columns if name not in file.schema_arrow.names]
            if missing:
                raise ValueError(f"{path} has no column {', '.join(missing)}: it is no RL data.")
            batch = next(file.iter_batches(batch_size=count), None)
    except FileNotFoundError:
        raise ValueError(f"There is no file {path}.") from None
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    return batch.to_pylist() if batch else []
