"""Free devices and slots of several machines that run one job together."""

from collections.abc import Sequence
from dataclasses import dataclass

from jobs.queue.line.machine import Devices, Room
from platform_site.counts import counted

STRIDE = 1000  # a device's number in a group is its machine's index times this, plus its own number


@dataclass(frozen=True)
class GroupRoom(Room):
    """``members`` are the rooms of the machines, the head first. The group owns no devices: a
    device is leased here whenever it is leased at its member, by a job of that machine or of
    another group."""

    members: tuple[Room, ...] = ()

    @classmethod
    def of(cls, members: Sequence[Room]) -> "GroupRoom":
        known = all(room.gpus is not None for room in members)
        numbered = list(enumerate(members))
        return cls(
            gpus=frozenset(p * STRIDE + n for p, room in numbered for n in room.gpus or ())
            if known
            else None,
            leased=frozenset(p * STRIDE + n for p, room in numbered for n in room.leased),
            slots=min(room.slots for room in members),
            busy=max(room.busy + min(r.slots for r in members) - room.slots for room in members),
            members=tuple(members),
        )

    def devices_for(self, gpus: int, one_node: bool = False) -> Devices | None:
        """Devices on the head alone if it has enough, else equally many on as few members as
        possible.

        A job on the CPU takes a slot of each member.
        """
        if not gpus:
            return () if all(room.free_slots for room in self.members) else None
        if self.gpus is None:
            return None
        free = [room.free for room in self.members]
        if len(free[0]) >= gpus:
            return tuple(free[0][:gpus])
        for count in range(2, 1 if one_node else len(free) + 1):
            each, rest = divmod(gpus, count)
            found = [place for place, has in enumerate(free) if len(has) >= each][:count]
            if not rest and len(found) == count:
                return tuple(p * STRIDE + number for p in found for number in free[p][:each])
        return None

    def all_free(self) -> "GroupRoom":
        return GroupRoom.of([room.all_free() for room in self.members])

    def too_small_for(self, gpus: int, one_node: bool = False) -> str:
        has = ", ".join(str(len(room.gpus or ())) for room in self.members)
        needs = f"It needs {counted(gpus, 'GPU')}, and the machines have {has}"
        if one_node:
            return f"{needs}: torchrun starts it, on the first of them only."
        return f"{needs}: verl takes equally many of each, or all of the first."
