"""What the tests of evaluations share: how one is started, and what it left."""

import json
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from trainyard_node.evaluating.__main__ import main
from trainyard_node.rewards import arithmetic

REWARD = arithmetic.__file__
# The platform has a folder named datasets: the package of that name is to be found before it.
sys.path.sort(key=lambda path: Path(path, "manage.py").exists())
# The models are so small that threads wait for each other longer than they work.
torch.set_num_threads(1)


def evaluate(out: Path, *options: str, **spec: Any) -> int:
    """The exit code of an evaluation in this process."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        return main(["--text", json.dumps(spec), "--out", str(out), *options])
    finally:
        signal.signal(signal.SIGTERM, before)


def result(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "evaluation.json").read_text())
    return found


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_lines(path: Path, rows: list[Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def asking(question: str, truth: str = "1", **more: Any) -> dict[str, Any]:
    """A row of RL."""
    turns = [{"role": "user", "content": question}]
    reward = {"style": "rule", "ground_truth": truth}
    return {"prompt": turns, "reward_model": reward, "data_source": "x", "extra_info": {}, **more}
