"""What the page of a run's provenance shows, and the same as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from jobs.models import Job
from jobs.provenance import facts
from jobs.provenance.changes import Change, changes
from jobs.provenance.facts import Fact
from jobs.provenance.reading import Attempt, attempts_of, why_unknown
from jobs.provenance.relatives import Relatives, children_of, parents_of
from jobs.verl import configtree
from jobs.verl.configtree import Branch, Leaf

ROOM = 500_000  # bytes of the tree on one page
ROW = 250  # bytes of the markup of a value
MOST_PACKAGES = 1000
MOST_CHANGES = 100
LONGEST_VERSION = 100


@dataclass(frozen=True)
class Asked:
    """What an address asks for: an attempt by its number, words, only what is not the default."""

    attempt: int | None = None
    words: str = ""
    only: bool = False

    @property
    def is_search(self) -> bool:
        return bool(self.words or self.only)


@dataclass(frozen=True)
class Tree:
    """``found`` of ``count`` values; ``left`` of those found are not shown."""

    root: Branch
    count: int
    found: int
    differing: int
    left: int


def chosen(attempts: Mapping[int, Attempt], job: Job, number: int | None) -> Attempt | None:
    """The attempt that is asked for; without a number the newest. None: there is no such one."""
    if number is not None:
        is_one = number in attempts or 0 < number <= job.attempt
        return attempts.get(number, Attempt(job, number)) if is_one else None
    return attempts[max(attempts)] if attempts else Attempt(job, job.attempt)


def tree_of(attempt: Attempt, asked: Asked) -> Tree:
    leaves = attempt.leaves
    found = configtree.found(leaves, asked.words, only_differing=asked.only)
    shown = list(_fitting(found))
    differing = sum(leaf.differs for leaf in leaves)
    root = configtree.tree_of(shown)
    return Tree(root, len(leaves), len(found), differing, len(found) - len(shown))


def _fitting(leaves: Sequence[Leaf]) -> Sequence[Leaf]:
    """The first of them, as many as a page has room for."""
    room = ROOM
    for count, leaf in enumerate(leaves):
        room -= ROW + 3 * len(escape(leaf.key)) + 3 * len(escape(leaf.short))
        if room < 0:
            return leaves[:count]
    return leaves


def page(
    job: Job, viewer: Any, attempts: Mapping[int, Attempt], attempt: Attempt
) -> dict[str, Any]:
    """All but the tree."""
    packages = list(attempt.packages.items())
    earlier = [number for number in attempts if number < attempt.number]
    before = attempts[max(earlier)] if earlier else None
    changed = changes(before, attempt) if before else []
    return {
        "why_unknown": why_unknown(attempt),
        "sections": sections_of(attempt),
        "packages": "\n".join(
            f"{name}=={version[:LONGEST_VERSION]}" for name, version in packages[:MOST_PACKAGES]
        ),
        "packages_left": max(0, len(packages) - MOST_PACKAGES),
        "before": before,
        "changes": changed[:MOST_CHANGES],
        "changes_left": max(0, len(changed) - MOST_CHANGES),
        "numbers": sorted({*attempts, *range(1, job.attempt + 1)})[-MOST_CHANGES:],
        "families": [
            ("It came from", parents_of(job, viewer)),
            ("What came from it", children_of(job, viewer)),
        ],
    }  # fmt: skip


def sections_of(attempt: Attempt) -> list[tuple[str, list[Fact]]]:
    """The facts under their headings; what is unknown has none."""
    made_of = facts.made_of(attempt.job)
    if attempt.software:  # which tells better what Python that was
        made_of = [fact for fact in made_of if fact.name != facts.PYTHON]
    found = [
        ("Data and settings", made_of),
        ("Trainyard", facts.trainyard(attempt)),
        ("Software", facts.software(attempt)),
        ("Hardware", facts.hardware(attempt)),
    ]
    return [(title, rows) for title, rows in found if rows]


def in_json(job: Job, viewer: Any) -> dict[str, Any]:
    """All attempts, whole."""
    attempts = attempts_of(job)
    newest = chosen(attempts, job, None)
    return {
        "job": job.pk,
        "name": job.name,
        "made_of": [asdict(fact) for fact in facts.made_of(job)],
        "unknown": why_unknown(newest) if newest else "",
        "attempts": [attempt_in_json(attempt) for attempt in attempts.values()],
        "changes": [asdict(change) for change in _newest_changes(list(attempts.values()))],
        "parents": _in_json(parents_of(job, viewer)),
        "children": _in_json(children_of(job, viewer)),
    }


def attempt_in_json(attempt: Attempt) -> dict[str, Any]:
    return {
        "attempt": attempt.number,
        "verl": attempt.release,
        "trainyard": dict(attempt.platform),
        "software": dict(attempt.software),
        "hardware": dict(attempt.hardware),
        "config_name": attempt.config_name,
        "config": dict(attempt.config),
        "not_default": [leaf.key for leaf in attempt.leaves if leaf.differs],
        "cut": list(attempt.cut),
    }


def _newest_changes(attempts: Sequence[Attempt]) -> list[Change]:
    """From the attempt before the newest one to that."""
    return changes(*attempts[-2:]) if len(attempts) > 1 else []


def _in_json(relatives: Relatives) -> dict[str, Any]:
    shown = [{"job": one.job.pk, "name": one.job.name, "is": one.role} for one in relatives.shown]
    return {"jobs": shown, "of_others": relatives.hidden, "more": relatives.more}
