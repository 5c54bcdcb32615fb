"""A filter cut into words, and what is told of one that cannot be read."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

LONGEST = 1000  # characters of a filter
TOKEN = re.compile(
    r"""\s*(?:(?P<string>"[^"]*")|(?P<mark>!=|!~|<=|>=|[=<>~(),])|(?P<word>[^\s()=<>!~,"]+)|(?P<odd>\S))"""
)
UNFINISHED = re.compile(r'(?:"[^"]*|[^\s()=<>!~,"]+)\Z')


class NotRead(ValueError):
    """A filter that cannot be read.

    ``at`` and ``end`` are where: the first character that is wrong, and the one behind the last.
    ``possible`` is what could stand there.
    """

    def __init__(self, message: str, at: int, end: int, possible: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.at, self.end, self.possible = at, end, tuple(possible)


@dataclass(frozen=True)
class Token:
    """``text`` has no quotes; ``kind`` is word, string, mark, or end for what comes last."""

    kind: str
    text: str
    at: int
    end: int

    def is_word(self, *words: str) -> bool:
        return self.kind == "word" and self.text.lower() in words

    def is_mark(self, *marks: str) -> bool:
        return self.kind == "mark" and self.text in marks


def tokens(text: str) -> list[Token]:
    """The words of a filter, with one of the kind ``end`` behind them. Raises ``NotRead``."""
    if len(text) > LONGEST:
        raise NotRead(f"A filter has at most {LONGEST} characters.", LONGEST, len(text))
    found, at = list[Token](), 0
    while match := TOKEN.match(text, at):
        kind = str(match.lastgroup)
        begin, at = match.span(kind)
        if kind == "odd":
            why = "This quote is not closed." if match[kind] == '"' else "This means nothing here."
            raise NotRead(why, begin, at)
        shown = match[kind][1:-1] if kind == "string" else match[kind]
        found.append(Token(kind, shown, begin, at))
    return [*found, Token("end", "", len(text), len(text))]


def quoted(word: str) -> str:
    """A word as a filter must write it."""
    match = TOKEN.fullmatch(word)
    is_plain = bool(match and match.lastgroup == "word")
    return word if is_plain and word.lower() not in ("and", "or", "not", "in") else f'"{word}"'
