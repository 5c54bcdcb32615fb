"""What a rehearsal or a dry-fire is asked to try, as its command line says it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self


class Fault(Exception):
    """A part of the rehearsal failed; the message says why and, where it can, what to do."""


class Doubt(Exception):
    """A part found what is seldom meant, and is no error; the message says what."""


class Untried(Exception):
    """A part has nothing to try here; the message says why."""


@dataclass(frozen=True)
class Move:
    """Where something of the job lies, and where what is made of it goes."""

    source: str
    target: str


@dataclass(frozen=True)
class Plan:
    """``batch`` and ``limit`` (tokens) are the job's own; ``steps`` is what the first run does.

    ``target`` is the sort of data: rl, sft or dpo. ``resume`` holds the overrides of the second
    run. ``overlong`` says what becomes of rows over the limit: error, dropped or cut. Of the
    longest rows ``distinct`` are taken, 0 for as many as there is room for; ``answer`` is the
    number of tokens that each answer must have, 0 where that does not matter. ``python``
    starts a Python as a fork, where there are any (see ``forks/begin.py``). ``saved`` are the bytes
    of a checkpoint for each weight of a model, by its name in ``models``; ``machines`` share them.
    """

    folder: str
    target: str
    config: str
    argv: tuple[str, ...]
    resume: tuple[str, ...]
    models: Mapping[str, Move]
    files: Mapping[str, Move]
    steps: int
    rows: int
    val_rows: int
    batch: int
    limit: int
    overlong: str
    column: str = ""
    template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    reward: Mapping[str, Any] | None = None
    metric: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)
    lora: str = ""
    folders: Mapping[str, str] = field(default_factory=dict)
    cannot_resume: str = ""  # why no run of the job can go on from its checkpoints
    minutes: float = 15
    python: str = ""
    distinct: int = 0
    answer: int = 0
    saved: Mapping[str, float] = field(default_factory=dict)
    machines: int = 1

    @classmethod
    def read(cls, text: str, argv: tuple[str, ...]) -> Self:
        """Raises ValueError, TypeError or KeyError for what is no plan."""
        data = json.loads(text)
        known = {each.name for each in fields(cls)}
        given = {name: value for name, value in data.items() if name in known}
        for name in ("models", "files"):
            given[name] = {key: Move(**move) for key, move in data[name].items()}
        return cls(**{**given, "argv": argv, "resume": tuple(data["resume"])})

    @property
    def root(self) -> Path:
        return Path(self.folder)

    @property
    def overrides(self) -> tuple[str, ...]:
        """The part of the trainer's command that Hydra reads: all from the first override on."""
        first = next((i for i, word in enumerate(self.argv) if _is_override(word)), len(self.argv))
        return self.argv[first:]


def _is_override(word: str) -> bool:
    return "=" in word and not word.startswith("-")


def sentence(*parts: str) -> str:
    """The parts as one sentence."""
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}."
