"""A rule reward for the sample arithmetic, for `reward.custom_reward_function.path` and `.name`."""

import re
from typing import Any

WHOLE_NUMBER = re.compile(r"[-+]?\d{1,18}")
RIGHT, NUMBER = 0.9, 0.1


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: dict[str, Any] | None = None,
    **ignored: Any,
) -> dict[str, float]:
    """Score an answer: `score` is 1.0 for the right whole number, 0.1 for another whole number,
    else 0.0.

    Its two parts are 1.0 or 0.0: `acc` (the number is right) and `number` (there is one). It takes
    any text and any ground truth, and never raises.
    """
    given = _number(solution_str)
    number = float(given is not None)
    right = float(given is not None and given == _number(ground_truth))
    return {"score": RIGHT * right + NUMBER * number, "acc": right, "number": number}


def _number(text: Any) -> int | None:
    match = WHOLE_NUMBER.fullmatch(str(text).strip())
    return int(match.group()) if match else None
