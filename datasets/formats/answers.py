"""Find the ground truth within an answer."""

import re

HASHES = "####"
BOXED = "\\boxed{"


def truth_of(answer: str, extract: str) -> str:
    """The part of an answer that ``extract`` names; "" when it is not there.

    "after_hashes" is GSM8K's (without thousands separators, which verl's own preparation removes
    too), "boxed" is MATH's last \\boxed{…}, "whole" is the answer, "auto" the first of these that
    fits.
    """
    if extract == "after_hashes":
        return _after_hashes(answer)
    if extract == "boxed":
        return _boxed(answer)
    if extract == "whole":
        return answer.strip()
    return _after_hashes(answer) or _boxed(answer) or answer.strip()


def _after_hashes(answer: str) -> str:
    _, found, truth = answer.rpartition(HASHES)
    return re.sub(r"(?<=\d),(?=\d{3})", "", truth.strip()) if found else ""


def _boxed(answer: str) -> str:
    start = answer.rfind(BOXED)
    if start < 0:
        return ""
    depth, begin = 1, start + len(BOXED)
    for place in range(begin, len(answer)):
        depth += {"{": 1, "}": -1}.get(answer[place], 0)
        if depth == 0:
            return answer[begin:place].strip()
    return ""
