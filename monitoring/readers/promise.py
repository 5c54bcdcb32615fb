"""Read the number of steps that verl announces when it starts."""

import re
from collections.abc import Iterable

from monitoring.readers.lines import Line

# Only these two are totals of the run: the progress bar of an epoch also ends in "/N".
SAYS = re.compile(r"Total training steps: (\d{1,9})\b")
BAR = re.compile(r"Training Progress:.*?\|\s*\d+/(\d{1,9}) ")


def read_promise(lines: Iterable[Line]) -> int | None:
    """The last total in these lines, or None."""
    found = None
    for line in lines:
        for match in (*SAYS.finditer(line.text), *BAR.finditer(line.text)):
            found = int(match.group(1))
    return found
