"""Where more is told of a version, and what can be done with it: other apps say so when they start,
for this one knows none."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from datasets.models import Version


@dataclass(frozen=True)
class Link:
    """``title`` says what is told; ``text`` is the link itself."""

    title: str
    text: str
    url: str


LinkTo: TypeAlias = Callable[[Version], Link]
_links: list[LinkTo] = []
_uses: list[LinkTo] = []


def register(link: LinkTo) -> None:
    """Have a link on the page of every version."""
    _links.append(link)


def register_use(link: LinkTo) -> None:
    """Have a button wherever a version that is ready is shown."""
    _uses.append(link)


def links_of(version: Version) -> list[Link]:
    return [link(version) for link in _links]


def uses_of(version: Version) -> list[Link]:
    return [use(version) for use in _uses] if version.is_done else []
