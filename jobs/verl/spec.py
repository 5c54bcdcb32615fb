"""The specification of a training run: a kind, values for its knobs, and free overrides."""

from collections.abc import Mapping
from dataclasses import dataclass, field
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
class Problem:
    """An error that is found before anything starts.

    ``field`` is a knob's name, ``overrides``, or empty for the whole form; ``message`` says what is
    wrong and how to correct it.
    """

    field: str
    message: str
