"""What a training run is: a kind, values for its knobs, and free overrides."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

Value = str | int | float | bool
LATEST = "0.9.1"  # the release of verl that a run gets unless it asks for another


@dataclass(frozen=True)
class TrainSpec:
    """A run as the user asked for it.

    ``values`` holds one entry a knob (see ``jobs.verl.knobs``); a knob that is absent is left to
    verl's default. ``overrides`` are Hydra overrides as text, one each, applied last. ``verl`` is
    the release of verl that will run it, whose keys the command is written in.
    """

    kind: str
    values: Mapping[str, Value] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()
    verl: str = LATEST

    @classmethod
    def from_json(cls, kind: str, data: Mapping[str, Any]) -> "TrainSpec":
        overrides, verl = tuple(data.get("overrides", ())), data.get("verl", LATEST)
        return cls(kind, dict(data.get("values", {})), overrides, verl)

    def to_json(self) -> dict[str, Any]:
        values, overrides = dict(self.values), list(self.overrides)
        return {"values": values, "overrides": overrides, "verl": self.verl}


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


@dataclass(frozen=True)
class Problem:
    """Something that would go wrong, found before anything starts.

    ``field`` is a knob's name, ``overrides``, or empty for the whole; ``message`` says what is
    wrong and what would be right.
    """

    field: str
    message: str
