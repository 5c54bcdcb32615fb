"""Terminal output as text that is read: without colour codes, and lines as they ended."""

import re

CODE = re.compile(r"\x1b\[[0-9;:?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\|$)|\x1b[@-Z\\-_]?")
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def plain(text: str) -> str:
    """The text without codes; of a line that was written over, what was written last."""
    bare = CONTROL.sub("", CODE.sub("", text))
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in bare.split("\n"))
