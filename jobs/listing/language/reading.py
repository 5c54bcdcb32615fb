"""Reads a filter: ``algorithm = grpo and lr < 1e-5 and val-core > 0.4``.

    filter     = some
    some       = all ("or" all)*
    all        = one ("and" one)*
    one        = "not" one | "(" some ")" | comparison
    comparison = subject operator value | subject "in" "(" value ("," value)* ")"
    subject    = field | metric | figure "(" metric ")"

A name or a value with blanks or marks in it stands in double quotes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from jobs.listing.language.vocabulary import (
    EXAMPLES,
    FIGURES,
    NUMBER,
    OPERATORS,
    Field,
    Value,
    Vocabulary,
    value_of,
    values_possible,
)
from jobs.listing.language.words import UNFINISHED, NotRead, Token, quoted, tokens

DEEPEST = 20  # parentheses and negations in each other
MOST = 50  # comparisons
MOST_OF_METRICS = 10  # comparisons of metrics: each reads what all jobs measured
MOST_VALUES = 50  # after one "in"
# In all comparisons together: each is a variable of the question, of which SQLite takes 32766.
MOST_METRICS = 20_000
MOST_PROPOSED = 30
ANY_MARK = ("=", "!=", "<", "<=", ">", ">=", "~", "!~")


@dataclass(frozen=True)
class Comparison:
    """``figure`` says which of a metric; it is empty for a field."""

    name: str
    figure: str
    operator: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Not:
    part: "Tree"


@dataclass(frozen=True)
class All:
    parts: tuple["Tree", ...]


@dataclass(frozen=True)
class Some:
    parts: tuple["Tree", ...]


Tree: TypeAlias = Comparison | Not | All | Some


@dataclass(frozen=True)
class Proposal:
    """Words that could stand from ``at`` on, in place of what stands there."""

    at: int
    words: tuple[str, ...]


def read(text: str, vocabulary: Vocabulary) -> Tree | None:
    """The filter as a tree, None for an empty one. Raises ``NotRead``."""
    if not text.strip():
        return None
    return _Reader(tokens(text), vocabulary).whole()


def propose(text: str, vocabulary: Vocabulary) -> Proposal:
    """What could come at the end of a filter that is still being written."""
    unfinished = UNFINISHED.search(text)
    at = unfinished.start() if unfinished else len(text)
    begun = text[at:].lstrip('"').lower()
    words = [word for word in _possible(text[:at], vocabulary) if begun in word.lower()]
    words.sort(key=lambda word: not word.lower().lstrip('"').startswith(begun))
    return Proposal(at, tuple(words[:MOST_PROPOSED]))


def _possible(text: str, vocabulary: Vocabulary) -> Sequence[str]:
    try:
        reader = _Reader(tokens(text), vocabulary)
        reader.whole()
    except NotRead as error:
        return error.possible if error.at >= len(text.rstrip()) else ()
    return ("and", "or")


class _Reader:
    def __init__(self, found: list[Token], vocabulary: Vocabulary) -> None:
        self.tokens, self.vocabulary = found, vocabulary
        self.at = self.count = self.of_metrics = self.metrics = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def take(self) -> Token:
        self.at += 1
        return self.tokens[self.at - 1]

    def refuse(self, message: str, possible: Sequence[str], token: Token | None = None) -> NotRead:
        wrong = token or self.token
        return NotRead(message, wrong.at, wrong.end, possible)

    def whole(self) -> Tree:
        tree = self.some(0)
        if self.token.kind != "end":
            raise self.refuse(f"After a comparison comes and or or, not {self.token.text}.",
                              ("and", "or"))  # fmt: skip
        return tree

    def some(self, depth: int) -> Tree:
        return self.joined("or", Some, lambda: self.joined("and", All, lambda: self.one(depth)))

    def joined(
        self, word: str, kind: Callable[[tuple[Tree, ...]], Tree], part: Callable[[], Tree]
    ) -> Tree:
        parts = [part()]
        while self.token.is_word(word):
            self.take()
            parts.append(part())
        return parts[0] if len(parts) == 1 else kind(tuple(parts))

    def one(self, depth: int) -> Tree:
        if depth > DEEPEST:
            raise self.refuse(f"More than {DEEPEST} parentheses or nots in each other.", ())
        if self.token.is_word("not"):
            self.take()
            return Not(self.one(depth + 1))
        if self.token.is_mark("("):
            return self.within(depth)
        return self.comparison()

    def within(self, depth: int) -> Tree:
        self.take()
        tree = self.some(depth + 1)
        if not self.token.is_mark(")"):
            raise self.refuse("A parenthesis is not closed.", ("and", "or", ")"))
        self.take()
        return tree

    def comparison(self) -> Tree:
        self.count += 1
        if self.count > MOST:
            raise self.refuse(f"A filter has at most {MOST} comparisons.", ())
        figure, field = self.subject()
        operator = self.operator(field)
        values = self.values(field) if operator == "in" else (self.value(field),)
        return Comparison(field.name, figure, operator, values)

    def subject(self) -> tuple[str, Field]:
        """Which figure of a metric, or an empty word, and what is compared."""
        token, names = self.token, self.vocabulary
        if token.kind not in ("word", "string") or token.is_word("and", "or", "in"):
            what = f", not {token.text}" if token.text else ""
            raise self.refuse(f"Here a field or a metric is named{what}.", self.subjects())
        self.take()
        if token.is_word(*FIGURES) and self.token.is_mark("("):
            return self.figure(token.text.lower())
        if token.kind == "word" and (field := names.field(token.text)):
            return "", field
        return "last", self.metric(token)

    def figure(self, figure: str) -> tuple[str, Field]:
        self.take()
        token = self.token
        if token.kind not in ("word", "string"):
            raise self.refuse("Here a metric is named.", [*map(quoted, self.vocabulary.metrics)])
        self.take()
        field = self.metric(token)
        if figure == "best" and (why := self.vocabulary.why_not_best(token.text)):
            raise self.refuse(why, ("low", "high"), token)
        if not self.token.is_mark(")"):
            raise self.refuse("The parenthesis behind the metric is not closed.", (")",))
        self.take()
        return figure, field

    def metric(self, token: Token) -> Field:
        stands_for = self.vocabulary.stands_for(token.text)
        if not stands_for:
            near = self.vocabulary.near(token.text)
            raise self.refuse(f"There is no field and no metric {token.text}.", near, token)
        self.of_metrics += 1
        if self.of_metrics > MOST_OF_METRICS:
            raise self.refuse(f"A filter compares metrics at most {MOST_OF_METRICS} times.",
                              (), token)  # fmt: skip
        self.metrics += stands_for
        if self.metrics > MOST_METRICS:
            raise self.refuse(f"The words up to here stand for {self.metrics} metrics, and those "
                              f"of a filter for at most {MOST_METRICS}. Write more of their names.",
                              (), token)  # fmt: skip
        return Field(token.text, NUMBER)

    def subjects(self) -> list[str]:
        figures = [f"{figure}(" for figure in FIGURES]
        return [
            *self.vocabulary.fields,
            *map(quoted, self.vocabulary.metrics),
            *figures,
            "not",
            "(",
        ]

    def operator(self, field: Field) -> str:
        known, token = OPERATORS[field.sort], self.token
        if token.is_mark(*known) or (token.is_word("in") and "in" in known):
            return self.take().text.lower()
        wrong = token.text if token.is_mark(*ANY_MARK) or token.is_word("in") else ""
        why = f"{field.name} is not compared by {wrong}" if wrong else f"{field.name} is compared"
        raise self.refuse(f"{why}, but by {' '.join(known)}." if wrong else
                          f"{why} here, by {' '.join(known)}.", known)  # fmt: skip

    def values(self, field: Field) -> tuple[Value, ...]:
        if not self.token.is_mark("("):
            raise self.refuse("After in come values in parentheses.", ("(",))
        self.take()
        found = [self.value(field)]
        while self.token.is_mark(","):
            self.take()
            if len(found) == MOST_VALUES:
                raise self.refuse(f"After in come at most {MOST_VALUES} values.", (")",))
            found.append(self.value(field))
        if not self.token.is_mark(")"):
            raise self.refuse("The parenthesis behind the values is not closed.", (",", ")"))
        self.take()
        return tuple(found)

    def value(self, field: Field) -> Value:
        token = self.token
        possible = [*map(quoted, values_possible(field))]
        value = value_of(field, token.text) if token.kind in ("word", "string") else None
        if value is None:
            wanted = EXAMPLES.get(field.sort, f"{len(possible)} words are possible")
            what = (
                f"{token.text} is no value of {field.name}" if token.text else "A value is missing"
            )
            raise self.refuse(f"{what}: {wanted}.", possible)
        self.take()
        return value
