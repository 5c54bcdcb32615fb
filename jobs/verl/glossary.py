"""What the metrics that verl logs mean: read from ``jobs/metrics``, found by a metric's name."""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path

from jobs.verl.knob import Knob
from jobs.verl.knobs import BY_NAME
from jobs.verl.releases import RELEASES

FOLDER = Path(__file__).resolve().parent.parent / "metrics"
CHOICE = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class Wrong:
    """Releases that compute a metric wrongly: ``line`` is where, in ``file`` of verl's package."""

    releases: tuple[str, ...]
    why: str
    file: str
    line: str


@dataclass(frozen=True)
class Entry:
    """What some metrics are, what is healthy, which knobs move them, and what they are not.

    In ``names`` a star stands for any text; ``spelling`` says the same in short, with choices in
    braces. ``releases`` are those of verl that log them.
    """

    spelling: tuple[str, ...]
    names: tuple[str, ...]
    title: str
    means: str
    healthy: str
    is_not: str
    knobs: tuple[Knob, ...]
    releases: tuple[str, ...]
    wrong: tuple[Wrong, ...]

    @property
    def text(self) -> str:
        """All that can be searched."""
        keys = (key for knob in self.knobs for keys in knob.keys.values() for key in keys)
        parts = (*self.names, self.title, self.means, self.healthy, self.is_not, *keys)
        return " ".join((*parts, *(knob.label for knob in self.knobs))).lower()


@lru_cache
def entries() -> tuple[Entry, ...]:
    """All of the glossary, in the order of its files."""
    return tuple(entry for path in sorted(FOLDER.glob("*.toml")) for entry in _read(path))


def meaning(name: str) -> Entry | None:
    """The entry of a metric. A name that is written out goes before a pattern, and of patterns the
    one that says most. None for what is not verl's, such as a metric that a user's code logs."""
    exact, patterns = _index()
    if entry := exact.get(name):
        return entry
    return next((entry for pattern, entry in patterns if pattern.fullmatch(name)), None)


def found(words: str = "", release: str = "") -> list[Entry]:
    """The entries that have all of the words, of metrics that a release logs: first those with the
    words in a name. Words that are the name of a metric find its entry."""
    wanted = words.lower().split()
    chosen = [entry for entry in entries() if all(word in entry.text for word in wanted)]
    chosen.sort(key=lambda entry: not all(word in " ".join(entry.names) for word in wanted))
    if (entry := meaning(words.strip())) and entry not in chosen:
        chosen.insert(0, entry)
    return [entry for entry in chosen if not release or release in entry.releases]


@lru_cache
def _index() -> tuple[Mapping[str, Entry], Sequence[tuple[re.Pattern[str], Entry]]]:
    names = [(name, entry) for entry in entries() for name in entry.names]
    stars = sorted((pair for pair in names if "*" in pair[0]), key=_weight, reverse=True)
    patterns = [(re.compile(re.escape(name).replace(r"\*", ".*")), entry) for name, entry in stars]
    return {name: entry for name, entry in names if "*" not in name}, patterns


def _weight(pair: tuple[str, Entry]) -> int:
    """How much a pattern says."""
    return len(pair[0].replace("*", ""))


def _read(path: Path) -> Iterator[Entry]:
    for data in tomllib.loads(path.read_text())["metric"]:
        yield Entry(
            spelling=tuple(data["names"]),
            names=tuple(name for text in data["names"] for name in _spelled(text)),
            title=data["title"],
            means=data["is"],
            healthy=data["healthy"],
            is_not=data["not"],
            knobs=tuple(BY_NAME[name] for name in data["knobs"]),
            releases=_releases(data.get("since", RELEASES[0]), data.get("until", RELEASES[-1])),
            wrong=tuple(
                Wrong(tuple(w["releases"]), w["why"], w["file"], w["line"])
                for w in data.get("wrong", ())
            ),
        )


def _spelled(text: str) -> Iterator[str]:
    """The names that ``a/{b,c}`` stands for."""
    parts = CHOICE.split(text)  # what is in braces stands at the odd places
    choices = [part.split(",") if at % 2 else [part] for at, part in enumerate(parts)]
    yield from map("".join, product(*choices))


def _releases(since: str, until: str) -> tuple[str, ...]:
    return RELEASES[RELEASES.index(since) : RELEASES.index(until) + 1]
