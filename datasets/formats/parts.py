"""A row in parts, as pages show it: small, whatever the row holds."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from datasets.formats.jsontext import pruned

BRIEF = 200  # characters of a text in a list of rows
BRIEF_TURNS = 20
MOST_TURNS = 200
MOST_COLUMNS = 100
ALL_TEXTS = 300_000  # characters of a whole row, over all its texts
EACH_TEXT = 1_000  # that each of them may have at least
EXTRA = 2_000  # characters of a value beside the row
Part = tuple[str, Any]
KINDS = {
    "str": "text",
    "int": "whole number",
    "float": "number",
    "bool": "true or false",
    "null": "empty",
}


def row_parts(row: Mapping[str, Any]) -> list[Part]:
    """A compiled row by column: turns as turns, other values as text. Each is cut short."""
    return _parts(row, BRIEF, BRIEF_TURNS)


def whole_row(row: Mapping[str, Any], most: int = ALL_TEXTS) -> list[Part]:
    """As ``row_parts``, in full, unless its texts have more than about ``most`` characters."""
    parts = _parts(row, None, MOST_TURNS)
    texts = sum(len(value) if isinstance(value, list) else 1 for _, value in parts)
    width = max(EACH_TEXT, most // max(1, texts))
    return [(name, _narrowed(value, width)) for name, value in parts]


def raw_columns(
    fields: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], width: int = 160
) -> list[tuple[str, str, list[str]]]:
    """Each column of a source with what it holds, and its values in the first rows as they came."""
    return [
        (
            name,
            _types(facts),
            [_brief(_text(row[name]), width) if name in row else "" for row in rows],
        )
        for name, facts in fields.items()
    ]


def _types(facts: Mapping[str, Any]) -> str:
    counts = sorted(facts["types"].items(), key=lambda one: -one[1])
    return ", ".join(KINDS.get(name, name) for name, _ in counts)


def extra_parts(extra: Any) -> list[tuple[str, str]]:
    """What stands beside a row, by name."""
    if not isinstance(extra, Mapping):
        return []
    shown = [
        (str(name), cut(str(value), EXTRA)) for name, value in list(extra.items())[:MOST_COLUMNS]
    ]
    return shown + _more(len(extra) - MOST_COLUMNS, "values")


def cut(text: str, width: int) -> str:
    """A long text's beginning, and how much of it is not shown."""
    return (
        text if len(text) <= width else f"{text[:width]}… and {len(text) - width:,} more characters"
    )


def _parts(row: Mapping[str, Any], width: int | None, turns: int) -> list[Part]:
    columns = [(name, value) for name, value in row.items() if name != "extra_info"]
    parts = [
        (name, _turns(value, width, turns) if _is_turns(value) else _brief(_text(value), width))
        for name, value in columns[:MOST_COLUMNS]
    ]
    return parts + _more(len(columns) - MOST_COLUMNS, "columns")


def _more(count: int, what: str) -> list[tuple[str, str]]:
    return [("…", f"{count:,} more {what} are not shown.")] if count > 0 else []


def _is_turns(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and "role" in (value[0] or ())


def _turns(value: list[dict[str, Any]], width: int | None, most: int) -> list[dict[str, str]]:
    """Turns with their text, and below it what else they hold."""
    shown = [
        {"role": str(turn.get("role"))[:BRIEF], "content": _brief(_said(turn), width)}
        for turn in value[:most]
    ]
    left = [{"role": "…", "content": text} for _, text in _more(len(value) - most, "turns")]
    return shown + left


def _said(turn: dict[str, Any]) -> str:
    more = [
        f"{name}: {_text(pruned(value))}"
        for name, value in turn.items()
        if name not in ("role", "content") and value is not None
    ]
    return "\n".join([*([_text(turn.get("content"))] if turn.get("content") else []), *more])


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _brief(text: str, width: int | None) -> str:
    return text if width is None or len(text) <= width else text[: width - 1] + "…"


def _narrowed(value: Any, width: int) -> Any:
    if isinstance(value, list):
        return [{**turn, "content": cut(turn["content"], width)} for turn in value]
    return cut(value, width)
