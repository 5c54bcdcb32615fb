"""Judge what a reward function returned by what verl 0.9.1 does with it.

verl writes the score into a tensor of 32-bit numbers, one for each token. Its validation writes
every entry of a dict, the score too, as JSON, and averages those that are neither None nor text.
"""

import inspect
import json
import math
import numbers
import sys
from typing import Any

from trainyard_node.rewards.plain import text_of

LARGEST = 3.4028234663852886e38  # of 32 bits; verl's tensor refuses what is larger


class WrongReturn(Exception):
    """The function returned a value that verl cannot use as a reward."""


def judge(result: Any) -> tuple[float, dict[str, Any]]:
    """The score, and the other entries of a dict. Raises WrongReturn with advice."""
    if not isinstance(result, dict):
        score = _score(result, "It")
        _average("acc", result)  # the name that verl gives it
        return score, {}
    if "score" not in result:
        raise WrongReturn(f"The dict has no key 'score'; it has {', '.join(map(str, result))}.")
    score = _score(result["score"], "The dict's score")
    for name, value in result.items():
        _average(name, value)
    return score, {str(key): value for key, value in result.items() if key != "score"}


def _score(value: Any, what: str) -> float:
    if inspect.iscoroutine(value):
        value.close()
        raise WrongReturn("It returned a coroutine: write it as `async def`, or await inside.")
    try:
        number = _assigned(value)
    except (TypeError, ValueError, RuntimeError, IndexError) as error:
        raise WrongReturn(
            f"{what} is {_short(value)} ({type(value).__name__}); verl needs a number, "
            f"or a dict with a number as 'score': {error}. Write float(...) around it."
        ) from error
    if not math.isfinite(number):
        raise WrongReturn(f"{what} is {number}; such a reward spoils the whole step.")
    return number


def _assigned(value: Any) -> float:
    """The number after an assignment to one place of a tensor.

    A tensor is assigned. Of other values a tensor takes the numbers of Python and the whole
    numbers of numpy; this needs no torch, whose import takes seconds.
    """
    torch = sys.modules.get("torch")  # without it, nothing can be a tensor
    if torch is not None and isinstance(value, torch.Tensor):
        tokens = torch.zeros(2, dtype=torch.float32)
        tokens[-1] = value
        return float(tokens[-1].item())
    if not isinstance(value, int | float | numbers.Integral):
        raise TypeError(f"can't assign a {type(value).__name__} to a torch.FloatTensor")
    number = value if isinstance(value, float) else int(value)
    if abs(number) > LARGEST:
        return math.inf if number > 0 else -math.inf
    return float(number)


def _average(name: Any, value: Any) -> None:
    """Do with an entry what validation does. Raises WrongReturn where it would fail."""
    try:
        json.dumps({name: value}, default=_as_json)
        if value is not None and not isinstance(value, str):
            _mean(value)
    except Exception as error:  # a user's object may raise anything
        raise WrongReturn(
            f"Its part {name!r} is {_short(value)} ({type(value).__name__}); verl's validation "
            f"averages and writes each part, and fails at this one: {_short(error)}. "
            "Give a number or text."
        ) from error


def _mean(value: Any) -> None:
    if isinstance(value, int | float):
        float(value)
        return
    import numpy as np

    float(np.mean([value]))


def _as_json(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not JSON")


def _short(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else text_of(value)
    return text if len(text) <= 80 else text[:79] + "…"
