"""Read the number of steps that verl announces when it starts."""

import re
from collections.abc import Iterable

# Only these two are whole-run totals: an epoch's progress bar also ends in "/N".
SAYS = re.compile(r"Total training steps: (\d{1,9})\b")
BAR = re.compile(r"Training Progress:.*?\|\s*\d+/(\d{1,9}) ")


def planned_steps(lines: Iterable[str]) -> int | None:
    """The last total in these lines of a log, or None."""
    found = None
    for line in lines:
        for match in (*SAYS.finditer(line), *BAR.finditer(line)):
            found = int(match.group(1))
    return found
