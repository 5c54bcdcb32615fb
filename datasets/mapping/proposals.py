"""Propose a mapping from the user's words about columns and from the rows themselves."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from datasets.formats.columns import SHAPES, ColumnMapping
from datasets.formats.parts import raw_columns
from datasets.formats.shapes import Proposal, detect, why_not
from datasets.formats.source import read_source
from datasets.models import Source
from datasets.services import DatasetError

LOOKED_AT = 200
RAW = 3
MOST_COLUMNS = 100


def proposals(source: Source) -> list[Proposal]:
    """Possible mappings for the first rows of a source, the best guess first."""
    return detect(first_rows(source))


def first_rows(source: Source) -> list[dict[str, Any]]:
    return [row.data for row in read_source(source.rows_file, 0, LOOKED_AT)]


@dataclass(frozen=True)
class Columns:
    """A source's columns as (name, what it holds, its values in the first rows), with the lines of
    these rows. ``left_out`` counts the columns beyond the first; ``proposals`` are shapes that fit.
    """

    source: Source
    shown: list[tuple[str, str, list[str]]]
    lines: list[int]
    left_out: int
    proposals: list[Proposal]


def columns_of(source: Source) -> Columns:
    fields = source.facts.get("fields", {})
    kept = dict(list(fields.items())[:MOST_COLUMNS])
    first = read_source(source.rows_file, 0, RAW)
    shown = raw_columns(kept, [row.data for row in first])
    lines = [row.line for row in first]
    return Columns(source, shown, lines, len(fields) - len(kept), proposals(source))


def nothing_fits(source: Source) -> str:
    """A sentence that says why no shape fits the rows."""
    names = ", ".join(source.facts.get("fields", {}))
    said = f"No shape fits the rows: say which, with its columns. They have: {names}."
    return f"{said} {why_not(first_rows(source))}".strip()


def propose(
    source: Source,
    shape: str,
    target: str,
    columns: Mapping[str, str],
    options: Mapping[str, str],
) -> ColumnMapping:
    """The best mapping for a source, with the user's choices applied. Raises ``DatasetError``."""
    if shape and shape not in SHAPES:
        raise DatasetError(f"There is no shape {shape}: {', '.join(SHAPES)}.")
    found = [p.mapping for p in proposals(source) if shape in ("", p.shape)]
    found = [m for m in found if target in ("", *SHAPES[m.shape].targets)]
    if not found and not shape:
        raise DatasetError(nothing_fits(source))
    mapping = found[0] if found else ColumnMapping(SHAPES[shape].targets[0], shape, {})
    mapping = replace(
        mapping,
        target=target or mapping.target,
        columns={**mapping.columns, **columns},
        options={**mapping.options, **options},
    )
    if wrong := mapping.problems():
        raise DatasetError(" ".join(wrong))
    return mapping
