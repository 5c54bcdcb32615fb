"""What happened to a machine and on it: its own events, and the starts and ends of its jobs."""

from collections.abc import Iterator
from typing import Any

from django.db.models import BigIntegerField, CharField, Q, QuerySet, Value
from django.db.models.functions import Cast

from compute.models import Machine
from platform_site.timeline import Rows, Wanted

OWN, JOBS = "machine", "jobs"
SOURCES = [(OWN, "The machine"), (JOBS, "Its jobs")]
# Of a job's events, those that say that it began or ended there.
BEGAN_OR_ENDED = {
    "events__kind__in": ("running", "paused", "completed", "failed", "stopped", "lost"),
    "events__source": "platform",  # a run says by itself as well that it paused
}
NOTHING = Q(pk__in=[])  # unlike none(), it keeps its side of a union


def rows_of(machine: Machine, jobs: QuerySet[Any], wanted: Wanted) -> Rows:
    """Its events and those of ``jobs``, which are the ones that the user may see."""
    none = Cast(Value(None), BigIntegerField())
    own: Any = machine.events.filter(wanted.of() if wanted.attempt is None else NOTHING)
    if wanted.source == JOBS:
        own = own.filter(NOTHING)
    own = own.annotate(source=Value(OWN), job=none, name=Value("", output_field=CharField()))
    names = ("id", "at", "kind", "who", "message", "source", "job", "name")
    theirs = jobs.filter(wanted.of("events__"), **BEGAN_OR_ENDED)
    if wanted.source == OWN:
        theirs = theirs.filter(NOTHING)
    theirs = theirs.order_by().annotate(source=Value(JOBS)).values(
        "events__id", "events__at", "events__kind", "events__who", "events__message", "source",
        "pk", "name",
    )  # fmt: skip
    found: Rows = own.order_by().values(*names).union(theirs, all=True)
    return found


def kinds_of(machine: Machine, jobs: QuerySet[Any]) -> Iterator[str]:
    yield from machine.events.order_by().values_list("kind", flat=True).distinct()
    theirs = jobs.filter(**BEGAN_OR_ENDED).order_by()
    yield from theirs.values_list("events__kind", flat=True).distinct()
