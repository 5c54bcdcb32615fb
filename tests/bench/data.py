"""What data cost: import, compile, check and show a million short rows, about 500 MB of JSONL.

Each step runs in a process of its own, so that its peak memory is its own.
"""

import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROWS = 1_000_000
WORDS = 5_000
COPIES = 100  # one row in so many is the row before once more

STEP = """
import json, resource, sys, time
from pathlib import Path
from datasets.formats import check, compile, mapping, rows, source
folder = Path(sys.argv[2])
PAIR = mapping.ColumnMapping(
    "sft", "prompt_response", {"prompt": "prompt", "response": "response"}, {}
)

def imported():
    facts = source.import_file(folder / "rows.jsonl", folder / "source")
    return {"rows": facts.rows, "bad": facts.bad}

def compiled():
    found = compile.compile_version(
        folder / "source/rows.parquet", folder / "version", PAIR, compile.Split(0.01)
    )
    return {"rows": found.rows_train + found.rows_val}

def checked():
    version = folder / "version"
    report = check.check(version / "train.parquet", version / "val.parquet", "sft")
    return {"rows": report.rows_train + report.rows_val,
            "duplicates": report.to_json()["counts"]["duplicate"]}

def row():
    path = folder / "version/train.parquet"
    rows.row(path, int(sys.argv[3]))
    return {}

before = time.monotonic()
found = globals()[sys.argv[1]]()
seconds = time.monotonic() - before
peak = [resource.getrusage(who).ru_maxrss for who in
        (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps({**found, "seconds": seconds, "peak": sum(peak) * 1024}))
"""


def measure(site: object = None, rows: int = ROWS) -> dict[str, float]:
    """Figures of the steps on ``rows`` rows; ``site`` is not needed."""
    with tempfile.TemporaryDirectory(prefix="trainyard-data-") as folder:
        megabytes = make(Path(folder) / "rows.jsonl", rows) / 1e6
        done = {name: step(name, folder) for name in ("imported", "compiled", "checked")}
        assert all(found["rows"] == rows for found in done.values()), done
        shown = [step("row", folder, str(int(rows * 0.98 * at / 20))) for at in range(20)]
    return {"file [MB]": megabytes, **_figures(done, megabytes), **_rows(shown)}


def make(path: Path, rows: int) -> int:
    """Write prompts and responses of random words; returns the bytes."""
    chance = random.Random(1)
    words = [f"{chance.getrandbits(20):x}" for _ in range(WORDS)]
    line = ""
    with path.open("w") as file:
        for number in range(rows):
            if number % COPIES or not line:
                texts = (" ".join(chance.choices(words, k=count)) for count in (35, 45))
                line = json.dumps(dict(zip(("prompt", "response"), texts, strict=True)))
            file.write(line + "\n")
    return path.stat().st_size


def step(name: str, folder: str, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-c", STEP, name, folder, *arguments]
    found: dict[str, Any] = json.loads(subprocess.check_output(command))
    return found


def _figures(done: Mapping[str, Mapping[str, Any]], megabytes: float) -> dict[str, float]:
    figures = {"import [MB/s]": megabytes / done["imported"]["seconds"]}
    for name, found in done.items():
        figures[f"{name}: time [s]"] = found["seconds"]
        figures[f"{name}: peak memory [MB]"] = found["peak"] / 1e6
    return figures


def _rows(shown: list[dict[str, Any]]) -> dict[str, float]:
    seconds = [found["seconds"] * 1000 for found in shown]
    return {
        "open and show a row, mean of 20 [ms]": sum(seconds) / len(seconds),
        "open and show a row, slowest of 20 [ms]": max(seconds),
    }
