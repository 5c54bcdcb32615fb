"""A check looks at the first rows alone, however many there are."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from evaluating_cases import evaluate, write_lines
from pyarrow import parquet
from trainyard_node.evaluating import program

READS = """
from trainyard_node.evaluating.rows import rows_of
import pyarrow.parquet, sys
def most():
    told = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
    return int(told[0].split()[1])
before = most()
assert sum(1 for _ in rows_of([sys.argv[1]], 1000)) == 1000
print(most() - before)
"""


def test_the_first_rows_of_a_large_file_take_little_memory(tmp_path: Path) -> None:
    """Also where all of its rows are one group."""
    file = tmp_path / "rows.parquet"
    table = pa.table({"text": [f"{n} " * 60 for n in range(200_000)]})
    parquet.write_table(table, file, row_group_size=len(table), compression="none")
    assert file.stat().st_size > 60 << 20
    run = [sys.executable, "-c", READS, str(file)]
    said = subprocess.run(run, capture_output=True, text=True, check=True)
    assert int(said.stdout) < 40 << 10  # KiB


@pytest.mark.parametrize(("limit", "seen"), [(None, 5), (7, 5), (3, 3)])
def test_only_the_first_rows_are_read(
    limit: int | None, seen: int, samples: dict[str, Any], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(program, "LOOKED_AT", 5)
    rows = [*({"text": f"{n}+{n}=?"} for n in range(6)), "no row at all"]
    spec = {"model": f"{samples['directory']}/model-warm", "way": "loss", "limit": limit,
            "files": [write_lines(tmp_path / "texts.jsonl", rows)]}  # fmt: skip
    assert evaluate(tmp_path / "out", "--check", **spec) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["prompts"] == seen
    assert said.get("first_rows") == (5 if seen == 5 else None)
