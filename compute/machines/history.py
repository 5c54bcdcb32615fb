"""What happened to machines, written down by whoever did it or saw it."""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from compute import events
from compute.models import Machine, MachineEvent

TURNS = (events.UNREACHABLE, events.KEY_REFUSED, events.BACK)
# A machine that came and went OFTEN times WITHIN this time is flapping: one event then counts on.
OFTEN, WITHIN = 3, timedelta(minutes=10)


def record(machine: Machine, kind: str, message: str = "", *, who: str = "", **data: Any) -> None:
    MachineEvent.objects.create(
        machine=machine, at=timezone.now(), kind=kind, who=who, message=message, data=data
    )


def record_once(machine: Machine, kind: str, message: str) -> None:
    """Write an event down, unless the same was since the machine last answered."""
    back = machine.events.filter(kind=events.BACK).last()
    same = machine.events.filter(kind=kind, message=message)
    if not (same.filter(at__gt=back.at) if back else same).exists():
        record(machine, kind, message)


def record_turn(machine: Machine, kind: str, message: str) -> None:
    """Record that a machine stopped or began to answer. While it flaps, one event counts this."""
    now = timezone.now()
    with transaction.atomic():
        # Its row is the lock: the watcher and a page may see the same turn.
        Machine.objects.select_for_update().get(pk=machine.pk)
        flapping = machine.events.filter(kind=events.UNSTEADY).last()
        if flapping and now - datetime.fromisoformat(flapping.data["until"]) < WITHIN:
            _count(flapping, kind, now)
            return
        lately = machine.events.filter(kind__in=TURNS, at__gt=now - WITHIN)
        if lately.count() >= 2 * OFTEN:
            _count(MachineEvent(machine=machine, at=now, kind=events.UNSTEADY, data={}), kind, now)
        else:
            record(machine, kind, message)


def _count(flapping: MachineEvent, kind: str, now: datetime) -> None:
    turns = flapping.data.get("turns", 0) + 1
    flapping.data = {"turns": turns, "until": now.isoformat(), "last": kind}
    state = "answered again" if kind == events.BACK else "stopped answering"
    flapping.message = (
        f"It comes and goes: {turns} further turn{'' if turns == 1 else 's'}, counted here and not "
        f"listed. At {timezone.localtime(now):%H:%M:%S %Z} it {state}."
    )
    flapping.save()
