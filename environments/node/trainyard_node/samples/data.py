"""Arithmetic problems: each problem once, shuffled by a fixed seed."""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATA_SOURCE = "trainyard/arithmetic"
LARGEST = 9
VALIDATION_ROWS = 32
SFT_ROWS, RL_ROWS, DPO_ROWS = 2048, 2048, 1536
# The largest error of a wrong sum.
NEAR = 9


@dataclass(frozen=True)
class Problem:
    question: str
    answer: str

    @property
    def prompt(self) -> list[dict[str, str]]:
        return [{"role": "user", "content": self.question}]

    @property
    def messages(self) -> list[dict[str, str]]:
        return [*self.prompt, {"role": "assistant", "content": self.answer}]


def problems(seed: int) -> tuple[list[Problem], list[Problem]]:
    """(train, validation): sums and differences of 0 to LARGEST; no problem is in both."""
    numbers = range(LARGEST + 1)
    every = [Problem(f"{a}+{b}=?", str(a + b)) for a in numbers for b in numbers]
    every += [Problem(f"{a}-{b}=?", str(a - b)) for a in numbers for b in numbers if a >= b]
    random.Random(seed).shuffle(every)
    return every[VALIDATION_ROWS:], every[:VALIDATION_ROWS]


def write_sft(path: Path, chosen: list[Problem]) -> int:
    """Write the data that verl's SFT reads: a `messages` column. Return the number of rows."""
    return _write(path, {"messages": [problem.messages for problem in chosen]})


def write_rl(path: Path, chosen: list[Problem], split: str) -> int:
    """Write the data that verl's RL reads; the reward is `rewards/arithmetic.py`."""
    columns: dict[str, list[Any]] = {
        "data_source": [DATA_SOURCE] * len(chosen),
        "prompt": [problem.prompt for problem in chosen],
        "ability": ["math"] * len(chosen),
        "reward_model": [{"style": "rule", "ground_truth": p.answer} for p in chosen],
        "extra_info": [{"index": index, "split": split} for index in range(len(chosen))],
    }
    return _write(path, columns)


def write_dpo(path: Path, chosen: list[Problem], seed: int) -> int:
    """Write data for `trainyard_node.dpo`: the right result is chosen, a wrong one rejected."""
    draw = random.Random(seed)
    columns = {
        "prompt": [problem.prompt for problem in chosen],
        "chosen": [problem.messages[1:] for problem in chosen],
        "rejected": [_wrong(problem, draw).messages[1:] for problem in chosen],
    }
    return _write(path, columns)


def _wrong(problem: Problem, draw: random.Random) -> Problem:
    right = int(problem.answer)
    near = [result for result in range(max(0, right - NEAR), right + NEAR + 1) if result != right]
    return Problem(problem.question, str(draw.choice(near)))


def repeated(chosen: list[Problem], rows: int, seed: int) -> list[Problem]:
    """Draw `rows` problems with replacement, so that an epoch lasts long enough to watch."""
    return random.Random(seed).choices(chosen, k=rows)


def _write(path: Path, columns: dict[str, list[Any]]) -> int:
    import pyarrow as pa
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns)
    parquet.write_table(table, path)
    return int(table.num_rows)
