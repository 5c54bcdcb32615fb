"""``PEERS_PYTHON peers.py METRICS_JSONL FOLDER``: the same points into Trackio and TensorBoard.

Runs in an environment of its own, and prints its figures as JSON. What both are given is in memory
already: only writing and reading is measured.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

RUNS = 50


def main() -> None:
    lines, folder = Path(sys.argv[1]).read_text().splitlines(), Path(sys.argv[2])
    os.environ["TRACKIO_DIR"] = str(folder / "trackio")
    rows = [json.loads(line) for line in lines]
    steps, data = [row["step"] for row in rows], [row["data"] for row in rows]
    print(json.dumps(trackio(steps, data) | tensorboard(steps, data, folder / "tensorboard")))


def seconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def trackio(steps: list[int], data: list[dict[str, float]]) -> dict[str, float]:
    from trackio.sqlite_storage import SQLiteStorage

    name = next(iter(data[0]))
    short = [{name: row[name]} for row in data]

    def series(run: str) -> Any:
        return SQLiteStorage.get_metric_values("bench", run, name)

    def write(run: str, rows: list[dict[str, float]]) -> float:
        return seconds(lambda: SQLiteStorage.bulk_log("bench", run, rows, steps=steps))

    figures = {"Trackio: bulk write": write("run", data)}
    assert len(series("run")) == len(steps)
    figures["Trackio: one series"] = median(seconds(lambda: series("run")) for _ in range(5))
    for run in range(RUNS):
        write(f"run {run}", short)
    runs = [f"run {run}" for run in range(RUNS)]
    figures["Trackio: one metric of 50 runs"] = seconds(lambda: [series(run) for run in runs])
    return figures


def tensorboard(steps: list[int], data: list[dict[str, float]], folder: Path) -> dict[str, float]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboardX import SummaryWriter

    def write() -> None:
        with SummaryWriter(str(folder)) as writer:
            for step, row in zip(steps, data, strict=True):
                for name, value in row.items():
                    writer.add_scalar(name, value, step)

    reader, name = EventAccumulator(str(folder), size_guidance={"scalars": 0}), next(iter(data[0]))
    figures = {"TensorBoard: write": seconds(write), "TensorBoard: load": seconds(reader.Reload)}
    assert len(reader.Scalars(name)) == len(steps)
    return figures


if __name__ == "__main__":
    main()
