"""Where more is told of a version: other apps say so when they start, for this one knows none."""

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


def register(link: LinkTo) -> None:
    """Have a link on the page of every version."""
    _links.append(link)


def links_of(version: Version) -> list[Link]:
    return [link(version) for link in _links]
