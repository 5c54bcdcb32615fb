"""What an evaluation says of itself, read from the file that its run wrote. A run may write
anything: what is no figure is left out."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from compute.runners.text import readable

LARGEST = 2**20  # bytes of the file
MOST_FIGURES = 500
MOST_FACTS = 60
MOST_SENTENCES = 100
LONGEST_NAME = 200
LONGEST_WORDS = 1000
DIGEST = re.compile(r"[0-9a-f]{16,64}")
MOST_COUNTED = 2**31 - 1  # what a database keeps of a count
COUNTS = ("prompts", "answers", "failed_scores", "too_long", "clipped", "empty")


class NotReadable(ValueError):
    """There is no result to keep. The message is a sentence for the user."""


@dataclass(frozen=True)
class Result:
    """``evaluator`` are the facts of what measured, by name; ``evaluator_digest`` stands for all
    that makes results comparable, and ``set_digest`` for the prompts. ``higher_is_better`` holds
    what the evaluator said of a figure."""

    evaluator: Mapping[str, Any] = field(default_factory=dict)
    evaluator_digest: str = ""
    set_name: str = ""
    set_digest: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    higher_is_better: Mapping[str, bool] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)


def read_result(text: bytes) -> Result:
    """Raises ``NotReadable``."""
    if len(text) > LARGEST:
        raise NotReadable("What the evaluation found is too large to be read.")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotReadable("What the evaluation found cannot be read: it is no JSON.") from error
    if not isinstance(data, dict):
        raise NotReadable("What the evaluation found cannot be read: it is no JSON object.")
    evaluator, of_set = _mapping(data, "evaluator"), _mapping(data, "set")
    return Result(
        evaluator=_facts(evaluator),
        evaluator_digest=_digest(evaluator.get("digest")),
        set_name=_words(of_set.get("name"), LONGEST_NAME),
        set_digest=_digest(of_set.get("digest")),
        metrics=_figures(_mapping(data, "metrics")),
        higher_is_better=_sides(_mapping(data, "higher_is_better")),
        counts=_counts(_mapping(data, "counts")),
        left_out=_sentences(data.get("left_out")),
        seconds=_figures(_mapping(data, "seconds")),
    )


def _mapping(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = data.get(name)
    return found if isinstance(found, dict) else {}


def _digest(value: Any) -> str:
    return value if isinstance(value, str) and DIGEST.fullmatch(value) else ""


def _words(value: Any, longest: int = LONGEST_WORDS) -> str:
    return readable(value[:longest]) if isinstance(value, str) else ""


def _figures(found: Mapping[str, Any]) -> dict[str, float]:
    told = {_words(name, LONGEST_NAME): _figure(value) for name, value in found.items()}
    known = {name: value for name, value in told.items() if name and value is not None}
    return dict(list(known.items())[:MOST_FIGURES])


def _sides(found: Mapping[str, Any]) -> dict[str, bool]:
    told = {_words(name, LONGEST_NAME): side for name, side in found.items()}
    known = {name: side for name, side in told.items() if name and type(side) is bool}
    return dict(list(known.items())[:MOST_FIGURES])


def _figure(value: Any) -> float | None:
    is_number = type(value) in (int, float) and abs(value) < 1e300 and math.isfinite(value)
    return float(value) if is_number else None


def _counts(found: Mapping[str, Any]) -> dict[str, int]:
    told = {name: found.get(name) for name in COUNTS}
    return {
        name: each for name, each in told.items() if type(each) is int and 0 <= each <= MOST_COUNTED
    }


def _sentences(value: Any) -> tuple[str, ...]:
    told = [_words(each) for each in value[:MOST_SENTENCES]] if isinstance(value, list) else []
    return tuple(each for each in told if each)


def _facts(found: Mapping[str, Any]) -> dict[str, Any]:
    """Each as a page shows it: a text, a number, or several of these in a line. Those of a group
    stand beside the others."""
    flat = {name: value for name, value in found.items() if not isinstance(value, dict)}
    for group in (value for value in found.values() if isinstance(value, dict)):
        flat |= {name: value for name, value in group.items() if name not in flat}
    told = {_words(name, LONGEST_NAME): _fact(value) for name, value in flat.items()}
    known = {name: value for name, value in told.items() if name and value not in ("", None)}
    return dict(list(known.items())[:MOST_FACTS])


def _fact(value: Any) -> str | float | bool | None:
    if isinstance(value, str):
        return _words(value)
    if isinstance(value, bool):
        return value
    if type(value) in (int, float):
        number = _figure(value)
        return int(number) if number is not None and number.is_integer() else number
    if isinstance(value, list | dict):
        return _words(json.dumps(value, ensure_ascii=False, default=str)[:LONGEST_WORDS])
    return None
