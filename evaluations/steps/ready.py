"""Chains that come with Trainyard: a file of ``ready/`` for each, by its name without the end."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from evaluations.steps.reading import read_chain

FOLDER = Path(__file__).parent / "ready"


@dataclass(frozen=True)
class Ready:
    slug: str
    name: str
    about: str
    text: str


@cache
def ready_chains() -> Mapping[str, Ready]:
    """By slug, in the order of their names."""
    found = [_read(path) for path in FOLDER.glob("*.yaml")]
    return {each.slug: each for each in sorted(found, key=lambda each: each.name)}


def _read(path: Path) -> Ready:
    text = path.read_text()
    recipe = read_chain(text)
    return Ready(path.stem, recipe.name, recipe.about, text)
