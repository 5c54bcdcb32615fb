"""Reads Markdown as the documentation writes it. Knows nothing of the code that it is about."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

FENCE = "```"
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]*)\)")
HEADING = re.compile(r"#+ +(.*)")
BEGINS = re.compile(r" *(#+ |\||- |\d+\. )")  # what does not go on with the line before


@dataclass(frozen=True)
class Link:
    label: str
    target: str


@dataclass(frozen=True)
class Page:
    """One Markdown file: ``path`` is where it lies, ``text`` what is in it."""

    path: Path
    text: str

    @classmethod
    def read(cls, path: Path) -> "Page":
        return cls(path, path.read_text(encoding="utf-8"))

    @cached_property
    def prose(self) -> list[str]:
        """Its paragraphs, headings, items of lists and rows of tables, each as one line; without
        the blocks of code."""
        found = [""]
        for line, is_code in _marked(self.text):
            if is_code or not line.strip():
                found.append("")
            elif found[-1] and not BEGINS.match(line):
                found[-1] += f" {line.strip()}"
            else:
                found.append(line.strip())
        return list(filter(None, found))

    @cached_property
    def shell(self) -> list[str]:
        """The lines of its blocks of code."""
        return [line.strip() for line, is_code in _marked(self.text) if is_code and line.strip()]

    @cached_property
    def spans(self) -> list[str]:
        """What it writes as code inside of sentences and tables."""
        return [span for line in self.prose for span in SPAN.findall(line)]

    @cached_property
    def links(self) -> list[Link]:
        return [Link(*found) for line in self.prose for found in LINK.findall(line)]

    @cached_property
    def anchors(self) -> set[str]:
        found = (HEADING.fullmatch(line) for line in self.prose)
        return {slug(heading[1]) for heading in found if heading}

    def tables(self, first: str, second: str = "") -> Iterator[list[str]]:
        """The rows of every table whose first column has this title, as cells. With ``second``,
        of those only whose second column has that one."""
        inside = False
        for line in self.prose:
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if not line.startswith("|"):
                inside = False
            elif cells[0] == first:
                inside = second in ("", cells[1])
            elif inside and set(cells[0]) != {"-"}:
                yield cells

    def column(self, first: str, second: str = "") -> list[str]:
        """What the first column of these tables writes as code."""
        return [span for cells in self.tables(first, second) for span in SPAN.findall(cells[0])]


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    plain = re.sub(r"[^\w\- ]", "", heading.lower())
    return plain.strip().replace(" ", "-")


def _marked(text: str) -> Iterator[tuple[str, bool]]:
    """Each line with whether it is part of a block of code: fenced, or indented by four."""
    fenced, blank = False, True
    for line in text.splitlines():
        if line.lstrip().startswith(FENCE):
            fenced = not fenced
            continue
        indented = line.startswith("    ") and blank
        yield line, fenced or indented
        blank = not line.strip() or indented
