"""Nothing but the kinds themselves asks which kind a job is."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.kinds.registry import OWN

ROOT = Path(__file__).resolve().parents[3]
ROOMS = ("platform_site", "compute", "datasets", "jobs", "surgery", "evaluations", "monitoring")
# Here is what a kind is. What data is for (sft, dpo, rl) is no kind of job.
KINDS_OWN = ("jobs/kinds/", "jobs/verl/")
SLUGS = {kind.slug for kind in OWN}
TABLES = {"ALGORITHMS", "is_rl", "SUPERVISED", "RL"}


def places() -> Iterator[Path]:
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            if not str(path.relative_to(ROOT)).startswith(KINDS_OWN):
                yield path


def asks(source: str) -> list[int]:
    """The lines that ask which kind a job is."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if _compares(node) or _takes_table(node) or _matches(node):
            found.add(node.lineno)  # type: ignore[attr-defined]
    return sorted(found)


def _compares(node: ast.AST) -> bool:
    """``job.kind == "sft"``, ``kind in ("sft", "dpo")`` and their like."""
    if not isinstance(node, ast.Compare):
        return False
    sides = [node.left, *node.comparators]
    return any(map(_is_kind, sides)) and any(map(_names_kind, sides))


def _is_kind(node: ast.expr) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return name in ("kind", "slug")


def _names_kind(node: ast.expr) -> bool:
    inside = (one.value for one in ast.walk(node) if isinstance(one, ast.Constant))
    return bool(SLUGS.intersection(value for value in inside if isinstance(value, str)))


def _takes_table(node: ast.AST) -> bool:
    """An import of what tells the algorithms apart."""
    names = {name.name for name in node.names} if isinstance(node, ast.ImportFrom) else set()
    return bool(names & TABLES) and getattr(node, "module", "") == "jobs.verl.algorithms"


def _matches(node: ast.AST) -> bool:
    return isinstance(node, ast.MatchValue) and _names_kind(node.value)


def test_nobody_else_asks() -> None:
    found = [f"{p.relative_to(ROOT)}:{n}" for p in places() for n in asks(p.read_text())]
    assert found == []


def test_no_page_asks() -> None:
    found = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "templates").rglob("*.html"))
        if any(f'kind == "{slug}"' in path.read_text() for slug in SLUGS)
    ]
    assert found == []


@pytest.mark.parametrize(
    "planted",
    [
        'if job.kind == "grpo": pass',
        'x = "sft" != spec.kind',
        'x = kind in ("sft", "dpo")',
        'x = job.kind not in {"export"}',
        "from jobs.verl.algorithms import is_rl",
        "from jobs.verl.algorithms import ALGORITHMS as A",
        'match job.kind:\n    case "ppo": pass',
    ],
)
def test_whoever_asks_is_found(planted: str) -> None:
    assert asks(planted)


@pytest.mark.parametrize(
    "harmless", ['x = target == "sft"', "x = a.kind == b.kind", 'x = event.kind == "paused"']
)
def test_what_is_no_question_is_let_through(harmless: str) -> None:
    assert asks(harmless) == []
