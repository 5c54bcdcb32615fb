"""Propose a mapping from the user's words about columns and from the rows themselves."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from datasets.formats.columns import SHAPES, ColumnMapping
from datasets.formats.shapes import Proposal
from datasets.formats.shown import columns_shown, proposed
from datasets.models import Source
from datasets.services import DatasetError
from platform_site.bounded.calls import bounded
from platform_site.bounded.limits import TooMuch

RAW = 3
MOST_COLUMNS = 100


def proposals(source: Source) -> tuple[list[Proposal], str]:
    """Possible mappings for the first rows of a source, the best guess first.

    Without any, the second is a sentence that says why no shape fits the rows.
    """
    try:
        found, why = bounded(proposed, source.rows_file)
    except TooMuch as error:
        return [], f"The rows could not be looked at. {error}"
    return found, "" if found else nothing_fits(source, why)


@dataclass(frozen=True)
class Columns:
    """A source's columns as (name, what it holds, its values in the first rows), with the lines of
    these rows. ``left_out`` counts the columns beyond the first; ``proposals`` are shapes that fit;
    without any, ``why`` says so.
    """

    source: Source
    shown: list[tuple[str, str, list[str]]]
    lines: list[int]
    left_out: int
    proposals: list[Proposal]
    why: str


def columns_of(source: Source) -> Columns:
    fields = source.facts.get("fields", {})
    kept = dict(list(fields.items())[:MOST_COLUMNS])
    found, why = proposals(source)
    try:
        shown, lines = bounded(columns_shown, source.rows_file, kept, RAW)
    except TooMuch:  # the sentence says so
        shown, lines = [], []
    return Columns(source, shown, lines, len(fields) - len(kept), found, why)


def nothing_fits(source: Source, why: str = "") -> str:
    names = ", ".join(list(source.facts.get("fields", {}))[:MOST_COLUMNS])
    said = f"No shape fits the rows: say which, with its columns. They have: {names}."
    return f"{said} {why}".strip()


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
    offered, why = proposals(source)
    found = [p.mapping for p in offered if shape in ("", p.shape)]
    found = [m for m in found if target in ("", *SHAPES[m.shape].targets)]
    if not found and not shape:
        raise DatasetError(why or nothing_fits(source))
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
