"""Choose the next job to start from a machine's line of waiting jobs and its free devices.

A job on GPUs needs a number of devices, a job on the CPU one slot. The line is searched from its
head, and the first job that fits starts. So a small job may start before a large one that does not
fit yet, and no usable device is idle. To let a large job through, hold the others.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from platform_site.counts import counted

Devices = tuple[int, ...]


@dataclass(frozen=True)
class Waiting:
    """A waiting job. ``gpus`` is 0 for a job on the CPU.

    ``held`` says who holds it, ``after`` what it waits for, ``rental`` why too little is left of
    its machine's rental; each is empty if it does not apply.
    """

    id: int
    owner: int
    gpus: int = 0
    held: str = ""
    after: str = ""
    rental: str = ""
    one_node: bool = False  # true if it runs on one machine, even of several together

    @property
    def may_start(self) -> bool:
        return not self.held and not self.after and not self.rental

    @property
    def needs(self) -> str:
        return counted(self.gpus, "GPU") if self.gpus else "1 CPU slot"


@dataclass(frozen=True)
class Room:
    """Devices and slots of a machine.

    ``gpus`` are the numbers of its devices, None while they are unknown. ``leased`` are those that
    a job has a lease of. ``busy`` counts the CPU ``slots`` in use.
    """

    gpus: frozenset[int] | None = None
    leased: frozenset[int] = frozenset()
    slots: int = 1
    busy: int = 0

    @property
    def free(self) -> list[int]:
        return sorted((self.gpus or frozenset()) - self.leased)

    @property
    def free_slots(self) -> int:
        return max(0, self.slots - self.busy)

    def devices_for(self, gpus: int, one_node: bool = False) -> Devices | None:
        """The devices that a job gets now, () for a job on the CPU; None when it must wait."""
        if not gpus:
            return () if self.free_slots else None
        return tuple(self.free[:gpus]) if len(self.free) >= gpus else None

    def all_free(self) -> "Room":
        """The same room with all devices and slots free."""
        return replace(self, leased=frozenset(), busy=0)

    def too_small_for(self, gpus: int, one_node: bool = False) -> str:
        """A sentence that says why so many GPUs can never be free here."""
        has = counted(len(self.gpus or ()), "GPU") if self.gpus else "no GPU"
        needs = f"It needs {counted(gpus, 'GPU')}, and this machine has {has}"
        return f"{needs}: it can never start here."


def next_start(line: Iterable[Waiting], room: Room) -> tuple[Waiting, Devices] | None:
    """The first job in line that may start and fits, with its devices; None without one."""
    for job in line:
        devices = room.devices_for(job.gpus, job.one_node) if job.may_start else None
        if devices is not None:
            return job, devices
    return None


def never_fits(gpus: int, room: Room, one_node: bool = False) -> str:
    """Why a job can never start on this machine, however long it waits; empty when it can."""
    if not gpus or room.gpus is None:
        return ""
    if room.all_free().devices_for(gpus, one_node) is not None:
        return ""
    return room.too_small_for(gpus, one_node)


def turn(line: Sequence[Waiting], joining: Waiting, using: Mapping[int, int]) -> int:
    """The index in a line of one priority at which a new job joins, so that users take turns.

    A user's share at an index is the number of devices that the user's jobs use now (``using``),
    plus those of the user's jobs before that index; a job on the CPU counts as one device. The new
    job joins behind all jobs of its owner, and before the first later job whose owner's share there
    exceeds the new job's owner's.
    """
    shares = dict(using)
    mine = using.get(joining.owner, 0) + sum(_size(j) for j in line if j.owner == joining.owner)
    own = [place for place, job in enumerate(line) if job.owner == joining.owner]
    start = own[-1] + 1 if own else 0
    for place, job in enumerate(line):
        share = shares.get(job.owner, 0)
        if place >= start and share > mine:
            return place
        shares[job.owner] = share + _size(job)
    return len(line)


def reasons(line: Sequence[Waiting], room: Room) -> Iterator[str]:
    """Why each waiting job has not started, in one or two sentences."""
    ahead = {True: 0, False: 0}
    for job in line:
        yield _reason(job, room, ahead[bool(job.gpus)])
        if job.may_start and not never_fits(job.gpus, room, job.one_node):
            ahead[bool(job.gpus)] += 1


def _reason(job: Waiting, room: Room, ahead: int) -> str:
    fits_not = never_fits(job.gpus, room, job.one_node)
    if stopped := job.held or fits_not or job.after or job.rental:
        return stopped
    if job.gpus and room.gpus is None:
        return "The GPUs of this machine are not known yet: it has not been measured."
    if room.devices_for(job.gpus, job.one_node) is not None:
        return "About to start."
    return f"Waits for {job.needs}{_free(job, room)}{_behind(ahead)}."


def _free(job: Waiting, room: Room) -> str:
    if not job.gpus:
        return f"; {room.free_slots} of {room.slots} are free"
    number = len(room.free)
    return f"; {number or 'none'} {'is' if number == 1 else 'are'} free"


def _behind(ahead: int) -> str:
    return f"; behind {counted(ahead, 'job')}" if ahead else ""


def _size(job: Waiting) -> int:
    return max(1, job.gpus)
