"""When a rented machine is taken away: reads and keeps the time, and says when it comes near."""

import re
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from compute import events
from compute.machines import history, verbs
from compute.machines.errors import MachineError
from compute.models import Machine, when

NEAR = timedelta(hours=1)  # before the end, when an event says that it is near
YEARS = range(2000, 9000)  # a time zone may move others out of the calendar
UNITS = {"d": "days", "h": "hours", "m": "minutes"}
SPAN = re.compile(r"(?:\s*\d+(?:\.\d+)?\s*[dhm])+\s*")
FIELD = "rental_ends_at"


def set_end(machine: Machine, ends_at: datetime | None, *, who: str = "") -> None:
    """Keep when a machine's rental ends; None is no end. Raises ``MachineError`` for a past one."""
    verbs.change(machine, {FIELD: checked(ends_at, machine.rental_ends_at)}, {}, who=who)


def checked(ends_at: datetime | None, before: datetime | None = None) -> datetime | None:
    """An end to the minute, rounded to the safe side. Raises ``MachineError`` when it is past, or
    thousands of years away.

    What stands already (``before``) may be kept though it is past.
    """
    if ends_at is None or ends_at == before:
        return ends_at
    if ends_at.year not in YEARS:
        raise MachineError(f"No rental ends in the year {ends_at.year}: correct it.", FIELD)
    ends_at = ends_at.replace(second=0, microsecond=0)
    if before and ends_at == before.replace(second=0, microsecond=0):
        return before
    if ends_at <= timezone.now():
        raise MachineError(f"{when(ends_at)} is past: a rental ends in the future.", FIELD)
    return ends_at


def moment(text: str) -> datetime:
    """``2026-11-26T18:00``, in the site's zone where it names none. Raises ``MachineError``."""
    try:
        found = parse_datetime(text.strip())
    except ValueError:
        found = None
    if found is None:
        raise MachineError(f"{text} is no time: write it like 2026-11-26T18:00.", FIELD)
    return found if timezone.is_aware(found) else timezone.make_aware(found)


def after(text: str) -> datetime:
    """The moment after a span such as ``6h``, ``90m`` or ``1d 12h``. Raises ``MachineError``."""
    if not SPAN.fullmatch(text):
        raise MachineError(f"{text} is no span of time: write it like 6h, 90m or 1d 12h.", FIELD)
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([dhm])", text)
    try:
        return timezone.now() + sum(
            (timedelta(**{UNITS[unit]: float(number)}) for number, unit in parts), timedelta()
        )
    except OverflowError:
        raise MachineError(f"{text} is too long.", FIELD) from None


def nearness(machine: Machine) -> str:
    """The kind of event that the end of the rental is by now; empty while it is far, or none."""
    ends_at = machine.rental_ends_at
    if ends_at is None or ends_at - timezone.now() > NEAR:
        return ""
    return events.RENTAL_OVER if machine.rental_is_over else events.RENTAL_NEAR


def tell(machine: Machine) -> str:
    """Record that the end is near, or over, once for each end; what was to be recorded."""
    kind, ends_at = nearness(machine), machine.rental_ends_at
    if kind and ends_at and not machine.events.filter(kind=kind, data__ends=str(ends_at)).exists():
        verb = "ended" if kind == events.RENTAL_OVER else "ends"
        history.record(machine, kind, f"Its rental {verb} at {when(ends_at)}.", ends=str(ends_at))
    return kind
