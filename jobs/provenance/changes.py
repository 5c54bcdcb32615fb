"""What is not the same in two attempts: another machine, other packages, other settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.provenance import facts
from jobs.provenance.facts import Fact
from jobs.provenance.reading import Attempt
from jobs.verl import configtree


@dataclass(frozen=True)
class Change:
    """``part`` says where. None: one of them has no such thing."""

    part: str
    name: str
    before: str | None
    after: str | None


def changes(before: Attempt, after: Attempt) -> list[Change]:
    """What changed from one attempt to the other, of what both told."""
    pairs: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = [
        ("Trainyard", _words(facts.trainyard(before)), _words(facts.trainyard(after))),
        ("Software", _words(facts.software(before)), _words(facts.software(after))),
        ("Hardware", _words(facts.hardware(before)), _words(facts.hardware(after))),
        ("Package", before.packages, after.packages),
        ("Configuration", _flat(before), _flat(after)),
    ]
    return [
        Change(label, *row)
        for label, one, other in pairs
        if one and other
        for row in configtree.differences(one, other, _short)
    ]


def _words(found: Sequence[Fact]) -> Mapping[str, Any]:
    return {fact.name: f"{fact.value} {fact.digest}".rstrip() for fact in found}


def _short(value: Any) -> str:
    return configtree.shortened(configtree.text_of(value))


def _flat(attempt: Attempt) -> dict[str, Any]:
    return dict(configtree.flat(attempt.config))
