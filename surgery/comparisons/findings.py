"""What a comparison found, read from the file that its run wrote. A run may write anything: what is
no figure is left out."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LARGEST = 16 * 2**20  # bytes of the file that are read
LEVELS = 5
MEASURES = {
    "relative": "Relative distance",
    "distance": "Distance",
    "cosine": "Cosine",
    "norm_ratio": "Ratio of norms",
    "changed": "Share of changed numbers",
}
FIGURES = (*MEASURES, "max_abs")


class NotReadable(ValueError):
    """There is no comparison to show. The message is a sentence for the user."""


@dataclass(frozen=True)
class Entry:
    """The figures of one tensor, or of all of one module in a layer; None is not known."""

    name: str
    layer: int | None
    module: str
    figures: Mapping[str, float | None]
    tensors: int = 1
    note: str = ""


@dataclass(frozen=True)
class Findings:
    """``left_out`` are sentences on what could not be compared."""

    models: Sequence[str]
    whole: Mapping[str, float | None]
    tensors: int
    cells: Sequence[Entry]
    most_changed: Sequence[Entry]
    left_out: Sequence[str]


def read_findings(text: bytes) -> Findings:
    """Raises ``NotReadable``."""
    if len(text) > LARGEST:
        raise NotReadable("The comparison is too large to be shown.")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotReadable("The comparison cannot be read: it is no JSON.") from error
    if not isinstance(data, dict):
        raise NotReadable("The comparison cannot be read: it is no JSON object.")
    said = data.get("whole")
    whole = said if isinstance(said, dict) else {}
    return Findings(
        models=[str(each) for each in _list(data, "models")],
        whole=_figures(whole),
        tensors=_count(whole.get("tensors")),
        cells=[*_entries(_list(data, "cells"))],
        most_changed=[*_entries(_list(data, "tensors"))],
        left_out=[*_left_out(data)],
    )


def _entries(rows: Sequence[Any]) -> Iterator[Entry]:
    for row in rows:
        layer = row.get("layer") if isinstance(row, dict) else ""
        if isinstance(row, dict) and (layer is None or type(layer) is int):
            module = str(row.get("module", ""))
            yield Entry(
                str(row.get("name", module)), layer, module, _figures(row),
                _count(row.get("tensors", 1)), str(row.get("note", "")),
            )  # fmt: skip


def _left_out(data: Mapping[str, Any]) -> Iterator[str]:
    models = [str(each) for each in _list(data, "models")]
    for model, only in zip(models, _list(data, "only_in"), strict=False):
        yield from _named(only, f"{{}} only in {model}")
    yield from _named(data.get("shapes_differ"), "{} of different shapes")
    yield from _named(data.get("part_compared"), "{} compared in part")
    yield from _named(data.get("not_finite"), "{} with NaN or infinite values, not compared")


def _named(group: Any, said: str) -> Iterator[str]:
    """A sentence on tensors that were left out, with the names of the first."""
    if not isinstance(group, dict) or not (count := _count(group.get("count"))):
        return
    names = [_name_of(each) for each in _list(group, "first")][:5]
    tensors = f"{count} tensor{'' if count == 1 else 's'}"
    more = ", …" if count > len(names) else ""
    yield f"{said.format(tensors)}: {', '.join(names)}{more}"


def _name_of(each: Any) -> str:
    return str(each.get("name", "")) if isinstance(each, dict) else str(each)


def _figures(row: Mapping[str, Any]) -> dict[str, float | None]:
    return {name: _figure(row.get(name)) for name in FIGURES}


def _figure(value: Any) -> float | None:
    is_number = type(value) in (int, float) and abs(value) < 1e300 and math.isfinite(value)
    return float(value) if is_number else None


def _count(value: Any) -> int:
    return value if type(value) is int and 0 <= value < 2**53 else 0


def _list(data: Mapping[str, Any], name: str) -> list[Any]:
    found = data.get(name)
    return found if isinstance(found, list) else []
