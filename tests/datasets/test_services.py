from pathlib import Path

import pytest

from datasets.models import Dataset
from datasets.services import register
from tests import factories


@pytest.mark.django_db
def test_registered_again_changes_what_differs(home: Path) -> None:
    path = str(factories.write_sft_rows(home / "a.parquet", 5))
    first = register("sums", "sft", path, path)
    assert (first.rows, first.is_sample, str(first)) == (5, False, "sums")
    factories.write_sft_rows(home / "a.parquet", 6)
    second = register("sums", "sft", path, path, is_sample=True)
    assert second.pk == first.pk
    assert (second.rows, second.is_sample) == (6, True)
    assert Dataset.objects.count() == 1


@pytest.mark.django_db
def test_a_file_that_is_not_there_is_not_registered(home: Path) -> None:
    with pytest.raises(ValueError, match="There is no file"):
        register("sums", "sft", str(home / "none"), str(home / "none"))
    assert Dataset.objects.count() == 0
