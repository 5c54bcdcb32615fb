"""One row of a source, read by the roles of its columns."""

from collections.abc import Mapping
from typing import Any

from datasets.formats.codes import RowProblem
from datasets.formats.columns import ColumnMapping, constant_of, kept_columns
from datasets.formats.turns import Turn, text_of, with_system

Row = Mapping[str, Any]
WORDS = {"true": True, "false": False}


class Reader:
    """A row with its mapping; it gives values by role."""

    def __init__(self, data: Row, mapping: ColumnMapping) -> None:
        self.data, self.mapping, self.shape = data, mapping, mapping.shape
        self.used = set(kept_columns(mapping))

    def get(self, role: str) -> Any:
        """A role's value; None when the role has no column, or the row has no value there."""
        column = self.mapping.columns.get(role, "")
        if (constant := constant_of(column)) is not None and column not in self.data:
            return WORDS.get(constant, constant) if role == "enable_thinking" else constant
        self.used.add(column if column in self.data else column.split(".")[0])
        return value_at(self.data, column)

    def need(self, role: str) -> Any:
        value = self.get(role)
        if value is None:
            raise RowProblem("missing_column", f"It has no {self.name(role)}.")
        return value

    def name(self, role: str) -> str:
        return self.mapping.columns.get(role) or role

    def text(self, role: str) -> str:
        value = self.get(role)
        return "" if value is None else text_of(value, self.name(role))

    def option(self, name: str) -> str:
        return self.mapping.options.get(name, "")

    def opened(self, turns: list[Turn]) -> list[Turn]:
        """Turns with the row's system prompt, or else the mapping's, and with the suffix."""
        turns = with_system(turns, self.text("system") or self.option("system"))
        if suffix := self.option("suffix"):
            asked = max((i for i, t in enumerate(turns) if t["role"] == "user"), default=None)
            if asked is not None:
                content = f"{turns[asked]['content']}{suffix}"
                turns[asked] = {**turns[asked], "content": content}
        return turns

    def kept(self) -> dict[str, Any]:
        return {name: value_at(self.data, name) for name in kept_columns(self.mapping)}


def value_at(data: Any, path: str) -> Any:
    """The value at a column, or at a dotted path into objects; None when it is missing."""
    if not path or path in data:
        return data.get(path)
    for name in path.split("."):
        data = data.get(name) if isinstance(data, Mapping) else None
    return data
