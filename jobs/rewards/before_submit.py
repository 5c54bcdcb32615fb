"""Try a reward function before a run with it is submitted."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from jobs.rewards.paths import reward_path
from jobs.rewards.trial import (
    Limits,
    Subject,
    Trial,
    TrialError,
    cases_of,
    truth_of,
    try_reward,
)

LIMITS = Limits(call=20, load=30, total=60)
UNTRIED = ("timeout", "not_run")  # another try may end otherwise


def check_function(
    path: str,
    name: str,
    rows: Sequence[Mapping[str, Any]],
    kwargs: Mapping[str, Any] | None = None,
) -> list[str]:
    """Problems of this reward function with these rows of RL data, as sentences.

    The same file, function and rows are tried once, unless time ran out or they could not be tried.
    """
    try:
        real = reward_path(path)
        state = real.stat()
    except (OSError, ValueError) as error:
        return [str(error)]
    given = (name, json.dumps(dict(kwargs or {})), json.dumps(list(rows), default=str))
    try:
        return list(_checked(str(real), state.st_mtime_ns, state.st_size, *given))
    except TrialError as error:
        return [f"The reward function could not be tried. {error}"]


@lru_cache(maxsize=64)
def _checked(
    path: str, modified: int, size: int, name: str, kwargs: str, rows: str
) -> tuple[str, ...]:
    """Raises TrialError, which is not kept, where another try may end otherwise."""
    subject = Subject(path, name, json.loads(kwargs))
    cases = [
        case
        for group, row in enumerate(json.loads(rows))
        for case in cases_of(row, group, answers_to(row))
    ]
    trial = try_reward(subject, cases, LIMITS)
    problems = tuple(problems_of(trial))
    if trial.kind in UNTRIED or any(answer.kind in UNTRIED for answer in trial.scored):
        raise TrialError(" ".join(problems))
    return problems


def answers_to(row: Mapping[str, Any]) -> list[str]:
    """What a model may answer: the truth, nothing, something else, the truth in a sentence."""
    truth = truth_of(row)
    return [truth, "", "I do not know.", f"I think that it is {truth}."]


def problems_of(trial: Trial) -> Iterator[str]:
    """Problems that a run with this function would have: each kind once."""
    if trial.problem:
        yield f"The reward function cannot be loaded. {trial.problem}"
    elif trial.signature_problem:
        yield f"The reward function cannot be called. {trial.signature_problem}"
    else:
        found = Counter(answer.problem for answer in trial.scored if answer.problem)
        yield from (
            f"The reward function failed on {count} of {len(trial.scored)} tries. {message}"
            for message, count in found.items()
        )
