"""The reason why a run failed: the last exception line of its log."""

import re

ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# Ray prefixes a worker's lines, for example with "(TaskRunner pid=123) ".
PREFIX = re.compile(r"^\([\w:.()]+ pid=\d+[^)]*\) ")
RAISED = re.compile(r"^(?:[\w.]+\.)?\w*(?:Error|Exception|Interrupt|Exit)(?:\([\w.]+\))?: .+")
LONGEST = 300


def last_error(log: str) -> str:
    """The last line of the form ``SomeError: message``, or an empty string.

    torchrun's ``ChildFailedError`` is skipped, since it says less than the child's own exception.
    """
    for line in reversed(log.splitlines()):
        text = PREFIX.sub("", ANSI.sub("", line)).strip()
        if RAISED.match(text) and "ChildFailedError" not in text:
            return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    return ""
