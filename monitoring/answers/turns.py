"""Reads a text as a conversation: who speaks, what was thought, which tool was called.

verl writes decoded tokens without the special ones, so of a chat template often only a line with
the role is left. Both ways are read; what has no such marks is one turn. The text itself stays as
it is in the raw view.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

ROLES = "system|developer|user|assistant|model|tool|ipython|function"
MARK = re.compile(
    rf"<\|im_start\|>(?P<im>{ROLES})\n"
    rf"|<\|start_header_id\|>(?P<header>{ROLES})<\|end_header_id\|>\n*"
    rf"|<start_of_turn>(?P<turn>{ROLES})\n"
    rf"|(?:\A|(?<=\n))(?P<line>{ROLES})\n"
)
ENDS = re.compile(r"(?:<\|im_end\|>|<\|eot_id\|>|<end_of_turn>|<\|endoftext\|>)\n?")
KINDS = {
    "think": "thinking", "thinking": "thinking", "reasoning": "thinking", "thought": "thinking",
    "tool_call": "tool call", "function_call": "tool call",
    "tool_response": "tool answer", "tool_output": "tool answer",
}  # fmt: skip
# An end that never came: the answer was cut within. An end alone: the template wrote the beginning.
INSIDE = re.compile(rf"<(?P<tag>{'|'.join(KINDS)})>(?P<text>.*?)(?:</(?P=tag)>|\Z)", re.DOTALL)
CLOSED = re.compile(r"\A(?P<text>(?:(?!<think(?:ing)?>).)*?)</think(?:ing)?>", re.DOTALL)
ROLE = {"model": "assistant", "ipython": "tool", "function": "tool", "developer": "system"}
MOST_TURNS = 200
MOST_PARTS = 400  # of all turns


@dataclass(frozen=True)
class Part:
    """``kind`` is text, thinking, tool call or tool answer."""

    kind: str
    text: str

    @property
    def length(self) -> int:
        return len(self.text)


@dataclass(frozen=True)
class Turn:
    role: str
    parts: Sequence[Part]


def turns_of(text: str, role: str) -> list[Turn]:
    """The turns of a text; ``role`` speaks before the first mark. There is always one."""
    found, left = [], MOST_PARTS
    for who, said in spoken(text, role):
        parts = [*_parts(said)][:left]
        left -= len(parts)
        if parts:
            found.append(Turn(who, parts))
    return found or [Turn(role, [Part("text", "")])]


def spoken(text: str, role: str) -> Iterator[tuple[str, str]]:
    """Who says what, without marks; empty turns, such as the one to be written, are left out."""
    for who, said in _stretches(text, role):
        if said := ENDS.sub("", said).strip("\n"):
            yield ROLE.get(who, who), said


def _stretches(text: str, role: str) -> Iterator[tuple[str, str]]:
    at = 0
    for mark in islice(MARK.finditer(text), MOST_TURNS):
        yield role, text[at : mark.start()]
        role = next(name for name in mark.groupdict().values() if name)
        at = mark.end()
    yield role, text[at:]


def _parts(said: str) -> Iterator[Part]:
    at = 0
    if closed := CLOSED.match(said):
        yield from _part("thinking", closed["text"])
        at = closed.end()
    for inside in INSIDE.finditer(said, at):
        yield from _part("text", said[at : inside.start()])
        yield from _part(KINDS[inside["tag"]], inside["text"])
        at = inside.end()
    yield from _part("text", said[at:])


def _part(kind: str, text: str) -> Iterator[Part]:
    if text := text.strip("\n"):
        yield Part(kind, text)
