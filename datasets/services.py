from pathlib import Path

from datasets.formats.parquet import read_facts
from datasets.models import Dataset


def register(
    name: str, kind: str, train_file: str, val_file: str, is_sample: bool = False
) -> Dataset:
    """Record a data set under its name; doing it again changes what differs."""
    dataset, _ = Dataset.objects.update_or_create(
        name=name,
        defaults={
            "kind": kind,
            "train_file": train_file,
            "val_file": val_file,
            "rows": read_facts(Path(train_file)).rows,
            "is_sample": is_sample,
        },
    )
    return dataset
