"""Lines that are kept while an evaluation goes on, so that the next attempt goes on after them."""

import json
import os
import re
from collections.abc import Callable, Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any

from trainyard_node.attempt import part_of

STATE = "progress.json"
ATTEMPT = re.compile(r"attempt-(\d{1,9})")
Line = dict[str, Any]


class Journal:
    """A file of JSON lines. `keep` writes whole lines at its end, which a kill cannot take back."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab")

    def keep(self, lines: list[Line]) -> None:
        """Raises OSError, as on a full disk: what cannot be kept must not be counted."""
        self._file.write(b"".join(encoded(line) for line in lines))
        self._file.flush()

    def close(self) -> None:
        """Write what the system still holds back to the disk."""
        os.fsync(self._file.fileno())
        self._file.close()


def encoded(line: Mapping[str, Any]) -> bytes:
    """One line of the file. A lone surrogate, which a model may answer, stays as JSON has it."""
    return json.dumps(line, default=str).encode() + b"\n"


def take_over(
    old: Path, new: Path, key: Callable[[Line], Hashable], told: Callable[[Line], None]
) -> int:
    """Let `new` begin with the whole lines of `old`, each key once, and give each to `told`; how
    many there are. A line that is torn, or has no key (None), is left out. The two may be one."""
    seen: set[Hashable] = set()
    new.parent.mkdir(parents=True, exist_ok=True)
    with part_of(new).open("wb") as out:
        for line in lines_of(old):
            name = key(line)
            if name is None or name in seen:
                continue
            seen.add(name)
            out.write(encoded(line))
            told(line)
        out.flush()
        os.fsync(out.fileno())
    part_of(new).replace(new)
    return len(seen)


def lines_of(path: Path) -> Iterator[Line]:
    """The JSON objects of a file, without what is torn."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        for line in file:
            try:
                found = json.loads(line) if line.endswith(b"\n") else None
            except (ValueError, RecursionError):
                continue
            if isinstance(found, dict):
                yield found


def earlier(root: Path, below: Path, digest: str) -> Path | None:
    """The run directory whose evaluation of the same `digest` was interrupted: this one, or the
    newest attempt before it. `below` is where an evaluation lies in a run directory."""
    for folder in (root, *_attempts_before(root)):
        if digest_in(folder / below) == digest:
            return folder
    return None


def differs_in(root: Path, below: Path, state: Mapping[str, Any]) -> list[str]:
    """In what the newest attempt at the same work answered otherwise, so that its answers are not
    taken over: such as `torch (2.8 before, 2.9 now)`. Empty where there is none."""
    for folder in (root, *_attempts_before(root)):
        old = _state_in(folder / below)
        if old.get("work") == state["work"]:
            before, now = old.get("engine") or {}, state["engine"]
            return [f"{name} ({before.get(name) or 'none'} before, {value or 'none'} now)"
                    for name, value in now.items() if before.get(name) != value]  # fmt: skip
    return []


def digest_in(folder: Path) -> str:
    """What the evaluation in a folder is of; empty where there is none."""
    return str(_state_in(folder).get("digest", ""))


def _state_in(folder: Path) -> Mapping[str, Any]:
    try:
        found = json.loads((folder / STATE).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _attempts_before(root: Path) -> list[Path]:
    own = ATTEMPT.fullmatch(root.name)
    if own is None:
        return []
    found = {
        int(match[1]): path
        for path in root.parent.iterdir()
        if (match := ATTEMPT.fullmatch(path.name)) and int(match[1]) < int(own[1])
    }
    return [found[number] for number in sorted(found, reverse=True)]
