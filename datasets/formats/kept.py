"""Types of columns that are kept in extra_info: a column of numbers only stays numeric."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from datasets.formats.columns import ColumnMapping, kept_columns
from datasets.formats.jsontext import dumps

BIGGEST = 2**63


class Kept:
    """Collects the types of the kept columns while rows are converted."""

    def __init__(self, mapping: ColumnMapping) -> None:
        self.names = kept_columns(mapping)
        self._types: dict[str, set[type]] = {name: set() for name in kept_columns(mapping)}

    def as_found(self) -> list[tuple[str, pa.DataType]]:
        """For each column, the type that holds every value seen."""
        return [(name, _type_for(types)) for name, types in self._types.items()]

    def add(self, values: Mapping[str, Any]) -> None:
        """Take the types of a row's values."""
        for name, types in self._types.items():
            if (value := values[name]) is not None:
                big = type(value) is int and not -BIGGEST <= value < BIGGEST
                types.add(object if big else type(value))

    def fitting(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The kept values in the types that hold all of them; where that is text, as JSON."""
        texts = {name for name, kind in self.as_found() if kind == pa.string()}
        return {
            name: _text(values[name]) if name in texts else values[name] for name in self._types
        }


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else dumps(value).decode()


def _type_for(types: set[type]) -> pa.DataType:
    if types == {bool}:
        return pa.bool_()
    if types == {int}:
        return pa.int64()
    return pa.float64() if types in ({float}, {int, float}) else pa.string()
