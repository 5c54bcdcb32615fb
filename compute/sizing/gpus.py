"""The GPU catalogue: what a card has, as its maker says it. The data lie in ``gpus.json``."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from compute.sizing.hashed import HashedOnce

DATA = Path(__file__).with_name("gpus.json")
SUGGESTIONS = 3


class UnknownGpu(LookupError):
    """No card of the catalogue has this name. ``near`` are slugs that look like it."""

    def __init__(self, name: str, near: tuple[str, ...]) -> None:
        self.name = name
        self.near = near
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        super().__init__(f"The catalogue has no GPU called {name!r}.{hint}")


@dataclass(frozen=True)
class Gpu(HashedOnce):
    """``memory`` in bytes as the driver offers it, ``flops`` dense products a second in bf16,
    ``flops_fp8`` the same in fp8 (None without), ``bandwidth`` of the memory and ``link`` to the
    other cards of its node, one way, in bytes a second, ``network`` to other nodes, for each card.

    ``slug`` names it on the command line, such as ``h100-80g``; ``names`` are what drivers and
    people call it. ``host`` is the way to the machine's memory (PCIe, or NVLink-C2C), one way, in
    bytes a second, ``power`` the limit in watts (0 is not known), ``domain`` how many cards
    ``link`` can join.
    ``source`` says where the figures come from, and which of them are nominal or assumed.
    """

    slug: str
    name: str
    maker: str
    memory: int
    flops: float
    flops_fp8: float | None
    bandwidth: float
    link: float
    network: float
    source: str
    names: tuple[str, ...] = ()
    domain: int = 8
    host: float = 32e9
    power: float = 0

    __hash__ = HashedOnce.__hash__


@cache
def catalogue() -> Mapping[str, Gpu]:
    """All known cards by their slug."""
    listed = json.loads(DATA.read_text(encoding="utf-8"))
    return {one["slug"]: Gpu(**{**one, "names": tuple(one["names"])}) for one in listed}


def find(name: str) -> Gpu:
    """The card with this slug, or which a driver calls so, such as ``NVIDIA H100 80GB HBM3``.

    Case, spaces and punctuation do not matter. Raises ``UnknownGpu``: a name that is merely near
    may be another card (an A100 with half the memory, an H100 for PCIe, a slice of one).
    """
    found = _by_name().get(_plain(name))
    if found is None:
        raise UnknownGpu(name, _near(name))
    return found


@cache
def _by_name() -> Mapping[str, Gpu]:
    return {
        _plain(name): gpu
        for gpu in catalogue().values()
        for name in (gpu.slug, gpu.name, *gpu.names)
    }


def _near(name: str) -> tuple[str, ...]:
    """Slugs of the cards whose names hold the asked one, else of those that look most like it."""
    asked, known = _plain(name), _by_name()
    holding = [gpu.slug for plain, gpu in known.items() if len(asked) > 1 and asked in plain]
    alike = [known[plain].slug for plain in get_close_matches(asked, known, n=2 * SUGGESTIONS)]
    return tuple(dict.fromkeys([*holding, *alike]))[:SUGGESTIONS]


def _plain(name: str) -> str:
    """Letters and digits alone, without the maker's words that a driver may leave out."""
    words = name.casefold().replace("nvidia", "").replace("geforce", "").replace("amd instinct", "")
    return "".join(letter for letter in words if letter.isalnum())
