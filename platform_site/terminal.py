"""Terminal output as text that is read: without colour codes or with them as the names of styles,
and lines as they ended."""

import re
from collections.abc import Iterator

CODE = re.compile(r"\x1b\[[0-9;:?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\|$)|\x1b[@-Z\\-_]?")
STYLE = re.compile(r"\x1b\[([0-9;:]{0,64})m")
BEGINS = {1: ("bold",), 2: ("dim",), 3: ("italic",), 4: ("underline",)}
ENDS = {22: ("bold", "dim"), 23: ("italic",), 24: ("underline",)}
COLOURS = {39: "", **{code: str(code % 10) for code in (*range(30, 38), *range(90, 98))}}
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def plain(text: str) -> str:
    """The text without codes; of a line that was written over, what was written last."""
    bare = CONTROL.sub("", CODE.sub("", text))
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in bare.split("\n"))


def coloured(text: str) -> Iterator[tuple[str, str]]:
    """What ``plain`` leaves of the text, in pieces, each with the styles that it is written in:
    ``bold 1`` is red and bold."""
    if "\x1b" not in text and "\r" not in text:
        yield CONTROL.sub("", text), ""
        return
    styles, colour = frozenset[str](), ""
    for number, line in enumerate(text.split("\n")):
        if number:
            yield "\n", ""
        parts = STYLE.split(line.rstrip("\r").rpartition("\r")[2])
        for at, part in enumerate(parts):
            if at % 2:
                styles, colour = _after(styles, colour, part)
            elif bare := CONTROL.sub("", CODE.sub("", part)):
                yield bare, " ".join([*sorted(styles), *([colour] if colour else [])])


def _after(styles: frozenset[str], colour: str, said: str) -> tuple[frozenset[str], str]:
    """The styles and the colour after a code, as static/js/ansi.js reads it."""
    codes = iter([int(code or 0) for code in re.split("[;:]", said)])
    for code in codes:
        if code in (38, 48):  # one of 256 colours, or of all: passed over
            for _ in range(1 if next(codes, 0) == 5 else 3):
                next(codes, 0)
        elif code == 0:
            styles, colour = frozenset(), ""
        else:
            styles = (styles | {*BEGINS.get(code, ())}) - {*ENDS.get(code, ())}
            colour = COLOURS.get(code, colour)
    return styles, colour
