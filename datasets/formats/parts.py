"""A row in parts, as pages show it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from datasets.formats.jsontext import pruned

KINDS = {
    "str": "text",
    "int": "whole number",
    "float": "number",
    "bool": "true or false",
    "null": "empty",
}


def row_parts(row: dict[str, Any], width: int | None = 200) -> list[tuple[str, Any]]:
    """A compiled row by column: turns as turns, other values as text, cut to ``width``."""
    return [
        (name, turns_shown(value, width) if _is_turns(value) else _cut(_text(value), width))
        for name, value in row.items()
        if name != "extra_info"
    ]


def raw_columns(
    fields: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], width: int = 160
) -> list[tuple[str, str, list[str]]]:
    """Each column of a source with what it holds, and its values in the first rows as they came."""
    return [
        (
            name,
            _types(facts),
            [_cut(_text(row[name]), width) if name in row else "" for row in rows],
        )
        for name, facts in fields.items()
    ]


def _types(facts: Mapping[str, Any]) -> str:
    counts = sorted(facts["types"].items(), key=lambda one: -one[1])
    return ", ".join(KINDS.get(name, name) for name, _ in counts)


def _is_turns(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and "role" in (value[0] or ())


def turns_shown(value: list[dict[str, Any]], width: int | None) -> list[dict[str, str]]:
    """Turns with their text, and below it what else they hold."""
    return [{"role": str(turn.get("role")), "content": _cut(_said(turn), width)} for turn in value]


def _said(turn: dict[str, Any]) -> str:
    more = [
        f"{name}: {_text(pruned(value))}"
        for name, value in turn.items()
        if name not in ("role", "content") and value is not None
    ]
    return "\n".join([*([_text(turn.get("content"))] if turn.get("content") else []), *more])


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _cut(text: str, width: int | None) -> str:
    return text if width is None or len(text) <= width else text[: width - 1] + "…"
