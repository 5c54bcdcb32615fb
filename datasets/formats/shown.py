"""What pages show of a file of rows. All reading is in here, and the answers are small.

The size of these files is their user's choice: pages call these functions with limits, by
``platform_site.bounded``.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from datasets.formats import distribution as values
from datasets.formats import rows as pages
from datasets.formats import tokens
from datasets.formats.codes import RowProblem
from datasets.formats.columns import ColumnMapping
from datasets.formats.mapping import convert
from datasets.formats.parts import Part, cut, extra_parts, raw_columns, row_parts, whole_row
from datasets.formats.queries import Filter
from datasets.formats.shapes import Proposal, detect, trial, why_not
from datasets.formats.source import SourceRow, read_source
from datasets.formats.tokens import RowView

MOST_FIELDS = 500
LOOKED_AT = 200  # rows of a source that are tried
REASONS = 5
LONGEST_CELL = 400
LONGEST_MAPPED = 40_000
TOKENS = 5_000  # on one page
INVISIBLE = {"\n": "\u21b5", "\t": "\u21e5", "\r": "\u240d"}
# The modules that read tokenizers; to import them takes seconds.
TOKENIZERS = ("transformers.models.auto.tokenization_auto", "transformers.tokenization_utils_fast")


@dataclass(frozen=True)
class RowsShown:
    """A page of rows in parts, each with its number, and the fields that can be asked for."""

    rows: list[tuple[int, list[Part]]]
    fields: list[str]
    total: int | None
    next_start: int | None


def rows_shown(
    path: Path, start: int, count: int, search: str, filters: Sequence[Filter]
) -> RowsShown:
    """Raises ValueError with a sentence."""
    found = pages.page(path, start, count, search, filters)
    shown = [(place, row_parts(row)) for place, row in found.rows]
    return RowsShown(shown, fields_shown(path), found.total, found.next_start)


def row_shown(path: Path, index: int) -> tuple[list[Part], list[tuple[str, str]]]:
    """A row in parts, and what stands beside it. Raises IndexError and ValueError."""
    row = pages.row(path, index)
    return whole_row(row), extra_parts(row.get("extra_info"))


def removed_shown(path: Path, start: int, count: int) -> pages.Page:
    """Rows that were left out, with each text cut short."""
    found = pages.page(path, start, count)
    rows = [
        (place, {name: _cell(value) for name, value in row.items()}) for place, row in found.rows
    ]
    return pages.Page(rows, found.total, found.next_start)


def _cell(value: Any) -> Any:
    return value if isinstance(value, int | None) else cut(str(value), LONGEST_CELL)


def fields_shown(path: Path) -> list[str]:
    return values.fields(path)[:MOST_FIELDS]


def distribution_shown(
    path: Path, field: str
) -> tuple[list[str], values.Distribution, list[dict[str, Any]]]:
    """The fields, the values of one of them (else of the first), and the rows' lengths by it."""
    fields = fields_shown(path)
    found = values.distribution(path, field or next(iter(fields), ""))
    return fields, found, values.lengths_by(path, found.field) if found.kind == "text" else []


def tokens_shown(
    path: Path,
    index: int,
    model: Path,
    target: str,
    max_length: int | None,
    truncation: str,
    start: int = 0,
) -> list[tuple[str, dict[str, Any]]]:
    """A row as the model sees it, each side with its name. Raises IndexError and ValueError."""
    row = pages.row(path, index)
    view = tokens.load(model).view(row, target, max_length, truncation)
    sides = [("Rejected", token_view(view.rejected, start))] if view.rejected else []
    return [("Chosen" if sides else "The row", token_view(view, start)), *sides]


def token_view(view: RowView, start: int = 0) -> dict[str, Any]:
    """A row's tokens in order, including the cut ones; invisible characters get a symbol."""
    parts = ((view.cut_left, True), (view.tokens, False), (view.cut_right, True))
    every = [(token, is_cut) for each, is_cut in parts for token in each]
    shown = [
        {"id": t.id, "text": visible(t.text), "bears_loss": t.bears_loss, "is_cut": is_cut}
        for t, is_cut in every[start : start + TOKENS]
    ]
    end = start + len(shown)
    return {
        "cut_left": len(view.cut_left),
        "cut_right": len(view.cut_right),
        "shown": shown,
        "start": start,
        "end": end,
        "before": max(0, start - TOKENS) if start else None,
        "next_start": end if shown and end < len(every) else None,
        "total": view.total,
        "losing": sum(token.bears_loss for token in view.tokens),
        "refusal": cut(view.refusal, LONGEST_CELL * 5),
    }


def visible(text: str) -> str:
    return "".join(INVISIBLE.get(character, character) for character in text)


def proposed(path: Path) -> tuple[list[Proposal], str]:
    """Mappings that fit the first rows of a source; where there are none, why not."""
    rows = [row.data for row in read_source(path, 0, LOOKED_AT)]
    found = detect(rows)
    return found, "" if found else cut(why_not(rows), LONGEST_CELL * 5)


def columns_shown(
    path: Path, fields: Mapping[str, Any], count: int
) -> tuple[list[tuple[str, str, list[str]]], list[int]]:
    """The columns of a source with their values in the first rows, and the lines of these rows."""
    first = read_source(path, 0, count)
    return raw_columns(fields, [row.data for row in first]), [row.line for row in first]


def mapped(path: Path, mapping: ColumnMapping, count: int) -> dict[str, Any]:
    """The first rows of a source after conversion, with the reasons of those that fail."""
    found = read_source(path, 0, LOOKED_AT)
    done = trial([row.data for row in found], mapping)
    return {
        "rows": list(islice(_converted(found, mapping), count)),
        "looked_at": len(found),
        "fitting": done.fitting,
        "lost": dict(done.lost.most_common(MOST_FIELDS)),
        "refused": [
            (cut(reason, LONGEST_CELL), rows) for reason, rows in done.refused.most_common(REASONS)
        ],
        "other_reasons": max(0, len(done.refused) - REASONS),
    }


def _converted(found: list[SourceRow], mapping: ColumnMapping) -> Iterator[dict[str, Any]]:
    for row in found:
        try:
            made = convert(row.data, mapping, 0, row.line, "train")
        except RowProblem:
            continue
        yield {"line": row.line, "fields": whole_row(made, LONGEST_MAPPED)}
