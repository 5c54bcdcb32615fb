"""What happened to a machine and on it: its own events, and the starts and ends of its jobs."""

from collections.abc import Iterator
from typing import Any

from django.db.models import BigIntegerField, CharField, Q, Value
from django.db.models.functions import Cast

from compute.events import MACHINE
from compute.machines.users import JOBS, Viewer, users
from compute.models import Machine
from platform_site.timeline import Rows, Wanted

OWN = MACHINE
SOURCES = [(OWN, "The machine"), (JOBS, "Its jobs")]
NOTHING = Q(pk__in=[])  # unlike none(), it keeps its side of a union


def rows_of(machine: Machine, viewer: Viewer | None, wanted: Wanted) -> Rows:
    """Its events, and those of its jobs that the viewer may see (all of them without a viewer)."""
    none = Cast(Value(None), BigIntegerField())
    own: Any = machine.events.filter(wanted.of(OWN) if wanted.attempt is None else NOTHING)
    if wanted.source == JOBS:
        own = own.filter(NOTHING)
    own = own.annotate(source=Value(OWN), job=none, name=Value("", output_field=CharField()))
    found: Rows = own.order_by().values(
        "id", "at", "kind", "who", "message", "source", "job", "name"
    )
    theirs = None if wanted.source == OWN else users().events(machine, viewer, wanted)
    return found if theirs is None else found.union(theirs, all=True)


def kinds_of(machine: Machine, viewer: Viewer | None) -> Iterator[str]:
    yield from machine.events.order_by().values_list("kind", flat=True).distinct()
    yield from users().kinds(machine, viewer)
