"""What rows hold beside text: tool calls, tools, images, structured truths, and their types."""

import base64
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from datasets.formats.codes import RowProblem
from datasets.formats.jsontext import pruned
from datasets.formats.kept import Kept
from datasets.formats.seen import MOST_FIELDS, Seen
from datasets.formats.tables import COLUMNS, MEDIA, TURN_COLUMNS

PLAIN_TURN = {"role", "content"}
LOOSE = ("extra_info", "reward_model")  # there 1 and 0.5 may stand beside each other
LISTS = ("tools", *MEDIA)
OWN = ("line", "split")  # Trainyard's fields of extra_info


class Carried:
    """Collects the types while rows are converted, then gives the file's schema."""

    def __init__(self, target: str, kept: Kept) -> None:
        self._target, self._kept = target, kept
        self._seen: dict[str, Seen] = {}

    def add(self, row: Mapping[str, Any]) -> None:
        """Take a row's types. Raises RowProblem where they differ from earlier rows'."""
        rest = dict(self._rest(row))
        for name, value in rest.items():
            self._of(name).add(value, name)
        if sum(seen.size for seen in self._seen.values()) > MOST_FIELDS:
            raise ValueError(
                f"The rows hold more than {MOST_FIELDS} different fields beside their text, more "
                "than a file for training can have: write them as JSON text."
            )

    def schema(self) -> pa.Schema:
        """The columns of the compiled file."""
        own = {name: self._typed(name, kind) for name, kind in COLUMNS[self._target]}
        more = {name: _media(name, seen) for name, seen in self._seen.items() if name not in own}
        more.pop("extra_info", None)
        return pa.schema({**own, **more, "extra_info": self._extra()})

    def completed(self, row: dict[str, Any], schema: pa.Schema) -> dict[str, Any]:
        """A row as the file has it: no list is missing, bytes are bytes, kept values fit."""
        for name in LISTS:
            if name in schema.names:
                row[name] = [_decoded(item) for item in row.get(name) or []]
        row["extra_info"].update(self._kept.fitting(row["extra_info"]))
        return row

    def _rest(self, row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        for name, value in row.items():
            if name in TURN_COLUMNS:
                more = [_more(turn) for turn in value if turn.keys() != PLAIN_TURN]
                if more:
                    yield name, more
            elif name == "extra_info":
                own = {*OWN, *self._kept.names}
                yield name, {key: inner for key, inner in value.items() if key not in own}
            elif name not in ("data_source", "ability"):
                yield name, value

    def _of(self, name: str) -> Seen:
        return self._seen.setdefault(name, Seen(exact=name not in LOOSE))

    def _typed(self, name: str, kind: Any) -> Any:
        seen = self._seen.get(name)
        if seen is None or seen.kind is None:
            return kind
        if name in TURN_COLUMNS:
            more: Any = seen.item.arrow() if seen.item else ()
            return pa.list_(pa.struct([*kind.value_type, *more]))
        found: Any = seen.arrow()
        given = [field for field in kind if field.name not in seen.fields]
        return pa.struct([*given, *found])

    def _extra(self) -> pa.DataType:
        seen = self._seen.get("extra_info", Seen())
        fields: dict[str, pa.DataType] = {"index": pa.int64(), "line": pa.int64()}
        fields["split"] = pa.string()
        fields |= {name: inner.arrow() for name, inner in seen.fields.items()}
        return pa.struct([*fields.items(), *self._kept.as_found()])


def _more(turn: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in turn.items() if key not in PLAIN_TURN}


def _media(name: str, seen: Seen) -> pa.DataType:
    """The type of a column; bytes of images, which JSON holds as base64, are bytes again."""
    kind = seen.arrow()
    if name not in MEDIA or not pa.types.is_list(kind) or not pa.types.is_struct(kind.value_type):
        return kind
    fields = [
        field.with_type(pa.binary()) if field.name == "bytes" else field
        for field in kind.value_type
    ]
    return pa.list_(pa.struct(fields))


def _decoded(item: Any) -> Any:
    if isinstance(item, dict) and isinstance(item.get("bytes"), str):
        return {**item, "bytes": base64.b64decode(item["bytes"])}
    return item


def media_of(value: Any, column: str) -> list[Any]:
    """Images and the like as verl reads them: objects, in a list. Raises RowProblem."""
    items = value if isinstance(value, list) else [value]
    return [_medium(item, column) for item in items]


def _medium(item: Any, column: str) -> Any:
    if isinstance(item, str):
        return {column.removesuffix("s"): item}
    if not isinstance(item, Mapping):
        raise RowProblem("not_carried", f"{column} holds what is neither a path nor an object.")
    try:
        base64.b64decode(item.get("bytes") or "", validate=True)
    except (TypeError, ValueError):
        raise RowProblem("not_carried", f"The bytes of {column} are not base64.") from None
    return pruned(item)
