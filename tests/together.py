"""Many checks of one sort in one test: all that fail are told together."""

from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def ask_all(cases: Iterable[T], check: Callable[[T], object], named: Callable[[T], str]) -> int:
    """Run the check on each case; how many there were. One ``AssertionError`` names every case
    that failed, with what the check said.
    """
    faults, count = [], 0
    for case in cases:
        count += 1
        try:
            check(case)
        except Exception as error:  # what one case raises must not hide the next
            faults.append(f"{named(case)}: {type(error).__name__}: {error}")
    assert not faults, f"{len(faults)} of {count} failed:\n" + "\n".join(faults)
    return count
