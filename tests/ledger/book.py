"""The ledger as it is written: kind by verb, and what stands in each cell."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("ledger.toml")
FORMS = ({"like", "why"}, {"fake", "why"}, {"none"})


@dataclass(frozen=True)
class Cell:
    """``proofs`` are tests with a real run, ``fakes`` are tests in which only the trainer is a
    fake. Without ``proofs``, ``like`` may name the kind whose tests prove the cell as well, and
    ``why`` gives the reason.
    """

    kind: str
    verb: str
    proofs: tuple[str, ...] = ()
    fakes: tuple[str, ...] = ()
    like: str = ""
    why: str = ""


@dataclass(frozen=True)
class Ledger:
    verbs: Mapping[str, str]
    kinds: tuple[str, ...]
    cells: Mapping[tuple[str, str], Cell]
    besides: Mapping[str, str]

    def named(self) -> Iterator[str]:
        """Every test that the ledger names."""
        for cell in self.cells.values():
            yield from (*cell.proofs, *cell.fakes)
        yield from self.besides


def read(text: str) -> Ledger:
    """Read a ledger. Raises ``ValueError`` for a cell or a verb that is not known."""
    written = tomllib.loads(text)
    verbs, besides = written.pop("verbs"), written.pop("besides", {})
    cells = {}
    for kind, row in written.items():
        rest = row.pop("rest", None)
        if unknown := row.keys() - verbs.keys():
            raise ValueError(f"{kind}: no verb {', '.join(sorted(unknown))}")
        for verb in verbs:
            content = row.get(verb, rest)
            if content is not None:
                cells[kind, verb] = cell(kind, verb, content)
    return Ledger(verbs, tuple(written), cells, besides)


def cell(kind: str, verb: str, content: Any) -> Cell:
    if isinstance(content, list) and content:
        return Cell(kind, verb, proofs=tuple(content))
    if not isinstance(content, dict) or set(content) not in FORMS:
        raise ValueError(f"{kind}, {verb}: {content!r} is no cell")
    why = content.get("why") or content.get("none", "")
    if not why:
        raise ValueError(f"{kind}, {verb}: say why")
    return Cell(kind, verb, (), tuple(content.get("fake", ())), content.get("like", ""), why)


def faults(ledger: Ledger, kinds: set[str]) -> Iterator[str]:
    """Sentences on what the ledger does not prove of ``kinds``, the kinds of job that exist."""
    for kind in sorted(kinds ^ set(ledger.kinds)):
        yield f"{kind}: it is not in the ledger" if kind in kinds else f"{kind}: no such kind"
    for kind in ledger.kinds:
        for verb, meaning in ledger.verbs.items():
            found = ledger.cells.get((kind, verb))
            if found is None:
                yield f"{kind}, {verb}: nothing says which run proves that it {meaning}"
            elif not leads_somewhere(ledger, found):
                yield f"{kind}, {verb}: {found.like} does not prove it either"


def leads_somewhere(ledger: Ledger, start: Cell) -> bool:
    """Whether the ``like`` of a cell leads to a cell without one."""
    found, seen = start, {start.kind}
    while found.like:
        if found.like in seen or (found.like, start.verb) not in ledger.cells:
            return False
        seen.add(found.like)
        found = ledger.cells[found.like, start.verb]
    return True
