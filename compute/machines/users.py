"""What uses machines. The apps above register an object that knows it; compute asks it here.

Compute lies below the apps that run something on a machine, so it names none of their tables.
Until somebody registers, nothing uses a machine.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any, Protocol

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import IntegerField, Value
from django.db.models.expressions import Combinable

from compute.models import Machine
from platform_site.timeline import Rows, Wanted

Viewer = AbstractBaseUser | AnonymousUser
JOBS = "jobs"  # the source of their events in a timeline


@dataclass(frozen=True)
class Holder:
    """What has a device. ``name`` and ``url`` are empty where the viewer may not see it."""

    name: str = ""
    url: str = ""


@dataclass(frozen=True)
class Span:
    """An estimate of seconds, and its band."""

    low: float
    likely: float
    high: float


@dataclass(frozen=True)
class Planned:
    """A job that has not started: the ``steps`` that it has still to do, and the seconds of one.

    None is what is not known, and ``why`` says why it is not.
    """

    id: int
    name: str
    url: str
    stands: str
    steps: int | None
    step: Span | None
    why: str = ""

    @property
    def whole(self) -> Span | None:
        """Seconds of all its steps."""
        if self.step is None or self.steps is None:
            return None
        return Span(*(self.steps * each for each in astuple(self.step)))


class MachineUsers(Protocol):
    """What the apps above know of a machine's use, for a ``viewer``; None may see everything."""

    template: str
    """Shows ``newest`` on the machine's page, as the variable ``users``; empty for none."""

    writer: str
    """Who writes ``events``, as the registry of their kinds names it."""

    def count(self) -> Combinable:
        """How many there are of each machine, as an expression for a query of machines."""

    def has_any(self, machine: Machine) -> bool:
        """Whether anything ever used it: then it is kept for its history."""

    def running(self, machine: Machine) -> str:
        """What runs there now, as a part of a sentence; empty for nothing."""

    def running_or_waiting(self, machine: Machine) -> str:
        """What runs or waits there and so keeps it from being removed, in the same form."""

    def newest(self, machine: Machine, viewer: Viewer) -> Sequence[Any]:
        """The newest of them, for the machine's page."""

    def holders(
        self, machine_ids: Collection[int], viewer: Viewer | None
    ) -> Mapping[tuple[int, int], Holder]:
        """What has each device that is given away, by its machine's id and its number."""

    def planned(self, machine: Machine, viewer: Viewer | None) -> Sequence[Planned]:
        """The first of those that wait for it, in their order, then of the drafts."""

    def events(self, machine: Machine, viewer: Viewer | None, wanted: Wanted) -> Rows | None:
        """Their starts and ends there, as rows of a timeline with the source ``JOBS`` and the
        columns id, at, kind, who, message, source, job, name; None where nobody has any."""

    def kinds(self, machine: Machine, viewer: Viewer | None) -> Iterable[str]:
        """The kinds of these events."""


class Nobody:
    """Uses no machine."""

    template = writer = ""

    def count(self) -> Combinable:
        return Value(0, output_field=IntegerField())

    def has_any(self, machine: Machine) -> bool:
        return False

    def running(self, machine: Machine) -> str:
        return ""

    def running_or_waiting(self, machine: Machine) -> str:
        return ""

    def newest(self, machine: Machine, viewer: Viewer) -> Sequence[Any]:
        return ()

    def holders(
        self, machine_ids: Collection[int], viewer: Viewer | None
    ) -> Mapping[tuple[int, int], Holder]:
        return {}

    def planned(self, machine: Machine, viewer: Viewer | None) -> Sequence[Planned]:
        return ()

    def events(self, machine: Machine, viewer: Viewer | None, wanted: Wanted) -> Rows | None:
        return None

    def kinds(self, machine: Machine, viewer: Viewer | None) -> Iterable[str]:
        return ()


_registered: list[MachineUsers] = [Nobody()]


def register(users: MachineUsers) -> None:
    """Let compute ask this object. The app that uses machines calls it once, when it is ready."""
    _registered[0] = users


def users() -> MachineUsers:
    """The object that was registered."""
    return _registered[0]
