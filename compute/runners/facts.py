"""Facts of files as a far machine tells them: of the right kinds and within bounds, or refused."""

import math
from typing import Any

from compute.runners.base import FileFact

LONGEST_PATH = 4096 * 4  # characters
LARGEST = 2**60  # bytes
LAST = 2.0**33  # epoch seconds, in the year 2242; a later time comes from a wrong clock


def file_fact(path: Any, size: Any, modified: Any) -> FileFact:
    """One file. Raises ``ValueError`` when the values describe no file."""
    if not isinstance(path, str) or len(path) > LONGEST_PATH:
        raise ValueError("a file's path is none")
    if type(size) is not int or not 0 <= size <= LARGEST:
        raise ValueError(f"a file has the size {str(size)[:40]}")
    if type(modified) not in (int, float) or not math.isfinite(modified):
        raise ValueError(f"a file was changed at {str(modified)[:40]}")
    return FileFact(path, size, float(min(max(0, modified), LAST)))


def file_facts(told: Any) -> list[FileFact]:
    """All files of a folder. Raises ``ValueError`` when the answer is no list of files."""
    if not isinstance(told, list) or not all(isinstance(one, list) for one in told):
        raise ValueError("it is no list of files")
    try:
        return [file_fact(*one) for one in told]
    except TypeError:
        raise ValueError("it is no list of files") from None
