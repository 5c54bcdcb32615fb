"""A process to start: where it goes, and the ``argv`` that starts it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Spread:
    """How a run lies on a Ray cluster: so many nodes, with so many of its devices on each."""

    nodes: int
    per_node: int


@dataclass(frozen=True)
class Placement:
    """Where a run goes: its run directory, its Python, and the name that trackers will show.

    ``devices`` are the numbers of its GPUs as the driver counts them; none before its start.
    ``resume_from`` is the ``global_step_N`` folder that it goes on from; empty for a first attempt.
    ``spread`` is given where a Ray cluster is there already, which then hands out the devices;
    without it verl starts a Ray of its own, on one machine.
    """

    run_dir: str
    python: str
    name: str
    devices: tuple[int, ...] = ()
    resume_from: str = ""
    spread: Spread | None = None


@dataclass(frozen=True)
class Setting:
    """One Hydra override with who asked for it: ``recipe``, ``you`` or ``platform``."""

    key: str
    text: str  # as it stands on the command line
    origin: str = "platform"


@dataclass(frozen=True)
class Command:
    """A process to start: ``argv`` is never joined into a string except in the run script."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    settings: tuple[Setting, ...] = ()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Command":
        settings = tuple(Setting(**setting) for setting in data["settings"])
        return cls(tuple(data["argv"]), data["env"], data["cwd"], settings)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
