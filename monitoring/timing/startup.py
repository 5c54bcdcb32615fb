"""How far the start of a run is, phase by phase, and how long each took."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from jobs.verl.startup import Phase

DONE, NOW, WAITS = "done", "now", "waits"


@dataclass(frozen=True)
class Line:
    """``seconds`` that the phase took, where it is done; ``last`` those that it took last time.
    Of the one that goes on, ``since`` is when it began, in epoch seconds."""

    phase: Phase
    state: str
    seconds: float | None = None
    last: float | None = None
    since: float | None = None


@dataclass(frozen=True)
class Startup:
    lines: Sequence[Line]

    @property
    def is_over(self) -> bool:
        return bool(self.lines) and self.lines[-1].state == DONE

    @property
    def took(self) -> float:
        """The seconds of what is done."""
        return sum(line.seconds or 0.0 for line in self.lines)


def took(phases: Sequence[Phase], begun: float, told: Mapping[str, float]) -> dict[str, float]:
    """The seconds of each phase that was told to be over, by its name."""
    return {name: after - before for name, before, after in _spans(phases, begun, told)}


def startup(
    phases: Sequence[Phase],
    begun: float,
    told: Mapping[str, float],
    last: Mapping[str, float],
    *,
    goes_on: bool,
) -> Startup:
    """The start of a run that began at ``begun``. ``told`` has when each phase was over, ``last``
    how long each took last time.

    A phase that was not told although a later one was is left out: this run has none.
    """
    seconds = took(phases, begun, told)
    open_from = max([at for at, each in enumerate(phases, 1) if each.name in told], default=0)
    lines = [
        Line(each, DONE, seconds[each.name], last.get(each.name))
        for each in phases[:open_from]
        if each.name in seconds
    ]
    for at, each in enumerate(phases[open_from:]):
        is_now = at == 0 and goes_on
        since = max([begun, *told.values()]) if is_now else None
        lines.append(Line(each, NOW if is_now else WAITS, None, last.get(each.name), since))
    return Startup(lines)


def _spans(
    phases: Sequence[Phase], begun: float, told: Mapping[str, float]
) -> Iterator[tuple[str, float, float]]:
    before = begun
    for phase in phases:
        if (after := told.get(phase.name)) is not None:
            yield phase.name, before, max(before, after)
            before = max(before, after)
