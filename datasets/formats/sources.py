"""Find the data sources in an RL file that verl cannot score."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from datasets.formats.scorers import scorer_of

SHOWN = 5


def unscored(path: Path) -> list[str]:
    """Up to five data sources in a file that no verl scorer accepts.

    Reads only that column, a batch at a time. Raises ``ValueError`` with a sentence when the file
    has no such column or cannot be read.
    """
    found: dict[str, None] = {}
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=65536, columns=["data_source"]):
                for source in batch.column("data_source").unique().to_pylist():
                    if scorer_of(str(source)) is None:
                        found[str(source)] = None
    except (pa.ArrowException, OSError, KeyError) as error:
        raise ValueError(f"{path} has no data sources that can be read: {error}.") from None
    return list(found)[:SHOWN]
