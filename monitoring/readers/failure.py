"""Why a run failed, in its own words: the last exception line of its log."""

import re

ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# Ray prefixes a worker's lines with "(TaskRunner pid=123) " or the like.
PREFIX = re.compile(r"^\([\w:.()]+ pid=\d+[^)]*\) ")
RAISED = re.compile(r"^(?:[\w.]+\.)?\w*(?:Error|Exception|Interrupt|Exit)(?:\([\w.]+\))?: .+")
LONGEST = 300


def last_error(log: str) -> str:
    """The last line of the form ``SomeError: what``, or an empty string.

    What torchrun adds about its failed child says less than the child's own exception, so its
    ``ChildFailedError`` is passed over.
    """
    for line in reversed(log.splitlines()):
        text = PREFIX.sub("", ANSI.sub("", line)).strip()
        if RAISED.match(text) and "ChildFailedError" not in text:
            return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    return ""
