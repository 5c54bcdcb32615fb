"""The first rows of files as a model's own chat template takes them: refused, and how long."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from datasets.formats.chat import MEDIA, ChatOptions, Row
from datasets.formats.rows import page
from datasets.formats.tokenizer_dir import NoTemplate
from datasets.formats.tokens import ChatTokenizer, load


def first_refused(
    model: Path, options: ChatOptions, target: str, files: Mapping[str, Path], count: int
) -> dict[str, tuple[int, str]] | None:
    """For each file, by its name, the number of the first refused row and why; only ``count`` are
    tried. None where the tokenizer cannot be read. Raises NoTemplate where it has no template.
    """
    try:
        tokenizer = load(model, options)
    except NoTemplate:
        raise
    except ValueError:  # a tokenizer with code of its own, say, which only the run may execute
        return None
    found = {name: _in_file(path, tokenizer, target, count) for name, path in files.items()}
    return {name: refused for name, refused in found.items() if refused}


def _in_file(
    path: Path, tokenizer: ChatTokenizer, target: str, count: int
) -> tuple[int, str] | None:
    for number, row in page(path, 0, count).rows:
        if set(MEDIA) & row.keys():  # verl then renders with a processor
            return None
        if refusal := tokenizer.view(row, target).refusal:
            return number, refusal
    return None


MEASURED, AT_ONCE = 5000, 1000  # rows of a file


@dataclass(frozen=True)
class Measured:
    """The first rows of a file: how many there are, how many are too long, and the longest."""

    rows: int
    over: int
    longest: int

    @property
    def is_part(self) -> bool:
        return self.rows == MEASURED


def measured(
    model: Path, options: ChatOptions, target: str, files: Mapping[str, Path], limit: int
) -> dict[str, Measured]:
    """The tokens of the first rows of each file, up to one that verl reads by a processor."""
    tokenizer = load(model, options)
    found = {}
    for name, path in files.items():
        rows = _first(path)
        if any(set(MEDIA) & row.keys() for row in rows[:1]):
            break
        lengths = tokenizer.lengths(rows, target)
        over = sum(length > limit for length in lengths)
        found[name] = Measured(len(rows), over, max(lengths, default=0))
    return found


def _first(path: Path) -> list[Row]:
    rows: list[Row] = []
    for start in range(0, MEASURED, AT_ONCE):
        found = [row for _, row in page(path, start, AT_ONCE).rows]
        rows += found
        if len(found) < AT_ONCE:
            break
    return rows
