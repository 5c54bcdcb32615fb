"""What is looked for in the lines of a log, as regular expressions of RE2.

RE2 takes time in proportion to the text, whatever the expression: none can hang a search. It has no
look-around and no references back.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

TRACEBACK = r"Traceback \(most recent call last\)"
# How verl, Ray, vLLM, torch and Python write the level of a line, the worst first.
LEVELS = {
    "error": (
        TRACEBACK + r"|\b(?:ERROR|CRITICAL|FATAL)\b|\b\w*(?:Error|Exception)(?:[:(]|$)"
        r"|CUDA out of memory|^Killed\b|\bSegmentation fault\b| E \d+ \d+\]|^[EF]\d{4} "
    ),
    "warning": r"\bWARN(?:ING)?\b|\b\w*Warning:| W \d+ \d+\]|^W\d{4} ",
    "info": r"\bINFO\b| I \d+ \d+\]|^I\d{4} ",
    "debug": r"\b(?:DEBUG|TRACE)\b| D \d+ \d+\]",
}


@dataclass(frozen=True)
class Question:
    """Lines in which all of these hold; what is empty is not asked."""

    words: str = ""
    is_regex: bool = False
    level: str = ""  # of LEVELS: this one or worse
    rank: int | None = None
    actor: str = ""  # Ray's "(NAME pid=123)", or a part of it

    @property
    def wanted(self) -> str:
        """The expression of what is marked in a line: the words, or else the level."""
        if self.words:
            return self.words if self.is_regex else f"(?i){re.escape(self.words)}"
        return up_to(self.level) if self.level else ""

    @property
    def patterns(self) -> Sequence[str]:
        """The expressions that a line must match, all of them; those that seldom do come first."""
        found = [self.wanted]
        if self.words and self.level:
            found.append(up_to(self.level))
        if self.rank is not None:
            found.append(rf"(?i)\[(?:rank|default):? ?{self.rank}\]|\brank[ =:]+{self.rank}\b")
        if self.actor:
            found.append(rf"(?i)^\([^)]*{re.escape(self.actor)}[^)]*\)")
        return [pattern for pattern in found if pattern]


def up_to(level: str) -> str:
    """The expression of lines of a level, and of all that are worse."""
    names = list(LEVELS)
    return "|".join(LEVELS[name] for name in names[: names.index(level) + 1])


def fault_of(pattern: str) -> str:
    """What is wrong with a regular expression; empty for a right one."""
    try:
        pc.match_substring_regex(pa.array([""]), pattern=pattern)
    except pa.ArrowInvalid as error:
        why = str(error).removeprefix("Invalid regular expression: ")
        return f"This is no regular expression that can be searched for: {why}."
    return ""
