"""Takes chosen answers out of a step's file, as rows that data sets and reward functions read.

A row has the columns of verl's RL data, and beside them ``response``: the answer.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from monitoring.answers.advantage import Method
from monitoring.answers.checking import advantage_of
from monitoring.answers.figures import Figures, changes
from monitoring.answers.prompts import known
from monitoring.answers.question import About, Question, chosen
from monitoring.answers.rows import Row, shown, text_of
from monitoring.answers.secrets import hidden, input_of, output_of
from monitoring.answers.step import Floats, Ints, Step, key_text
from monitoring.answers.turns import spoken

MOST_PROMPTS, MOST_ANSWERS = 100, 500  # that a reward function is tried on at once


def chosen_rows(step: Step, asked: Question, about: About, before: Step | None) -> Ints:
    """The rows of all answers that a question means, on whatever page. Raises ``OSError``."""
    figures = Figures(step)
    change = changes(figures, Figures(before)) if before else np.full(step.prompts, np.nan)
    return chosen(step, figures, change, asked, about).rows


def taken(
    step: Step, rows: Ints, about: About, method: Method, number: int, source: str
) -> Iterator[dict[str, Any]]:
    """A row of data for each answer; ``number`` is the step's, ``source`` the data source."""
    advantage, _ = advantage_of(step, method)
    for at, row in zip(rows.tolist(), step.rows(rows), strict=True):
        yield _taken(step, at, row, about.secrets, advantage) | {
            "data_source": source,
            "step": number,
        }


def write_answers(
    step: Step, rows: Ints, about: About, method: Method, number: int, source: str, target: Path
) -> int:
    """Write JSON lines; returns how many. Raises ``OSError``."""
    with target.open("wb") as file:
        for one in taken(step, rows, about, method, number, source):
            file.write(orjson.dumps(one) + b"\n")
    return len(rows)


def write_groups(
    step: Step, rows: Ints, about: About, method: Method, number: int, source: str, target: Path
) -> tuple[int, int]:
    """Write parquet with a row for each prompt and a list of its answers, as many as may be tried
    at once: how many prompts and answers these are. Raises ``OSError``."""
    some = rows[:MOST_ANSWERS]
    some = some[np.isin(step.prompt[some], np.unique(step.prompt[some])[:MOST_PROMPTS])]
    groups: dict[str, dict[str, Any]] = {}
    for one in taken(step, some, about, method, number, source):
        group = groups.setdefault(one["extra_info"]["prompt"], {**one, "response": []})
        group["response"].append(one["response"])
    columns = ("data_source", "prompt", "reward_model", "extra_info", "response")
    table = [{name: group[name] for name in columns} for group in groups.values()]
    for group in table:
        group["extra_info"] = {"index": group["extra_info"]["index"]}
    pq.write_table(pa.Table.from_pylist(table), target)
    return len(groups), len(some)


def _taken(
    step: Step, at: int, row: Row, secrets: Sequence[str], advantage: Floats
) -> dict[str, Any]:
    prompt = [
        {"role": role, "content": shown(said)}
        for role, said in spoken(input_of(row, secrets), "user")
    ]
    parts = {shown(hidden(name, secrets)): known(column[at]) for name, column in step.parts.items()}
    place = {
        "index": int(step.prompt[at]),
        "prompt": key_text(step.keys[step.prompt[at]]),
        "score": known(step.score[at]),
        "advantage": known(advantage[at]),
        "length": int(step.length[at]),
    }
    return {
        "prompt": prompt or [{"role": "user", "content": ""}],
        "response": shown(output_of(row, secrets)),
        "ability": "",
        "reward_model": {"style": "rule", "ground_truth": _truth(row, secrets)},
        "extra_info": place | {name: parts[name] for name in parts if name not in place},
    }


def _truth(row: Row, secrets: Sequence[str]) -> str:
    return shown(hidden(text_of(row.get("gts")), secrets))
