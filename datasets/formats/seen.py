"""The types of values that all rows of a file share: parquet has one for each field."""

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from datasets.formats.codes import RowProblem

MOST_FIELDS = 2_000
PLAIN: Mapping[type, pa.DataType] = {
    str: pa.string(),
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
}
EMPTY = pa.struct([("_", pa.null())])  # parquet has no object without fields
BIGGEST = 2**63


class Seen:
    """The type of one value in all rows so far. Null, and a missing field, fit every type.

    ``exact`` keeps whole numbers from becoming fractions beside others, as 5 would be 5.0.
    """

    def __init__(self, exact: bool = False) -> None:
        self.exact = exact
        self.kind: type | None = None
        self.fields: dict[str, Seen] = {}
        self.item: Seen | None = None

    def add(self, value: Any, path: str) -> None:
        """Take the types of a row's value. Raises RowProblem, and then takes nothing."""
        if wrong := next(self._clashes(value, path), None):
            raise RowProblem("mixed_types", wrong)
        self._take(value)

    @property
    def size(self) -> int:
        inner = [*self.fields.values(), *([self.item] if self.item else [])]
        return 1 + sum(one.size for one in inner)

    def arrow(self) -> pa.DataType:
        if self.kind is dict:
            fields = [(name, seen.arrow()) for name, seen in self.fields.items()]
            return pa.struct(fields) if fields else EMPTY
        if self.kind is list:
            return pa.list_(self.item.arrow() if self.item else pa.null())
        return PLAIN[self.kind] if self.kind else pa.null()

    def _clashes(self, value: Any, path: str) -> Iterator[str]:
        if value is None:
            return
        if not self._fits(value):
            was = self.kind.__name__ if self.kind else "number of 64 bits"
            yield f"{path} is {_called(value)} here and {_called_type(was)} in earlier rows."
        elif isinstance(value, dict):
            for name, inner in value.items():
                yield from self.fields.get(name, Seen(self.exact))._clashes(inner, f"{path}.{name}")
        elif isinstance(value, list):
            trial = Seen(self.exact)  # items must agree with each other, too
            for inner in value:
                yield from (self.item or trial)._clashes(inner, f"{path}[]")
                yield from trial._clashes(inner, f"{path}[]")
                trial._take(inner)

    def _fits(self, value: Any) -> bool:
        kind = type(value)
        if kind is int and not -BIGGEST <= value < BIGGEST:
            return False
        numbers = {kind, self.kind} == {int, float} and not self.exact
        return self.kind in (None, kind) or numbers

    def _take(self, value: Any) -> None:
        if value is None:
            return
        self.kind = float if {self.kind, type(value)} == {int, float} else type(value)
        if isinstance(value, dict):
            for name, inner in value.items():
                self.fields.setdefault(name, Seen(self.exact))._take(inner)
        elif isinstance(value, list):
            for inner in value:
                self.item = self.item or Seen(self.exact)
                self.item._take(inner)


def _called(value: Any) -> str:
    return _called_type(type(value).__name__)


def _called_type(name: str) -> str:
    names = {"str": "text", "dict": "an object", "list": "a list", "bool": "true or false"}
    return names.get(name, f"a number ({name})" if name in ("int", "float") else name)
