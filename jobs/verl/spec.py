"""The specification of a training run: a kind, values for its knobs, and free overrides."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

Value = str | int | float | bool
LATEST = "0.9.1"  # the release of verl of a run that names none


@dataclass(frozen=True)
class TrainSpec:
    """A run as the user asked for it.

    ``values`` maps the name of a knob to its value (see ``jobs.verl.knobs``); an absent knob keeps
    verl's default. ``overrides`` are Hydra overrides as text, one each, applied last. ``verl`` is
    the release of verl that will run it; the command uses that release's keys.
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
    """The layout of a run on a Ray cluster: the number of nodes, and of devices on each."""

    nodes: int
    per_node: int


@dataclass(frozen=True)
class Placement:
    """The place of a run: its run directory, its Python, and its name in trackers.

    ``devices`` are the driver's numbers of its GPUs; empty before the start. ``resume_from`` is the
    ``global_step_N`` folder to resume from; empty for a first attempt. ``spread`` is given if a Ray
    cluster already runs, which then assigns the devices; without it verl starts a Ray of its own,
    on one machine.
    """

    run_dir: str
    python: str
    name: str
    devices: tuple[int, ...] = ()
    resume_from: str = ""
    spread: Spread | None = None


@dataclass(frozen=True)
class Setting:
    """One Hydra override, with its origin: ``recipe``, ``you`` or ``platform``."""

    key: str
    text: str  # as on the command line
    origin: str = "platform"


@dataclass(frozen=True)
class Command:
    """A process to start. Only the run script joins ``argv`` into a string."""

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
    """An error that is found before anything starts.

    ``field`` is a knob's name, ``overrides``, or empty for the whole form; ``message`` says what is
    wrong and how to correct it.
    """

    field: str
    message: str
