"""How jobs use machines. Compute, which knows no job, asks here for its pages and refusals."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, cast

from django.db.models import Count, IntegerField, OuterRef, Subquery, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce

from compute.machines.users import JOBS, Holder, Planned, Viewer
from compute.models import Machine
from jobs import events
from jobs.fit.planned import planned
from jobs.models import Job, JobQuerySet, Lease
from platform_site.timeline import Rows, Wanted

SHOWN = 20  # jobs on a machine's page
NAMED = 5  # jobs in a sentence
BEGAN_OR_ENDED = {
    "events__kind__in": events.BEGAN_OR_ENDED,
    "events__source": events.PLATFORM,  # a run says by itself as well that it paused
}


class JobsOnMachines:
    """As ``compute.machines.users.MachineUsers`` asks."""

    template = "jobs/on_machine.html"
    writer = events.PLATFORM

    def count(self) -> Combinable:
        here = Job.objects.filter(machine=OuterRef("pk")).order_by().values("machine")
        counted = here.annotate(count=Count("pk")).values("count")
        return Coalesce(Subquery(counted, output_field=IntegerField()), 0)

    def has_any(self, machine: Machine) -> bool:
        return on(machine).exists()

    def running(self, machine: Machine) -> str:
        return named(on(machine).active())

    def running_or_waiting(self, machine: Machine) -> str:
        return named([*on(machine).active(), *on(machine).queued()])

    def newest(self, machine: Machine, viewer: Viewer) -> Sequence[Any]:
        return list(on(machine, viewer).order_by("-pk")[:SHOWN])

    def holders(
        self, machine_ids: Collection[int], viewer: Viewer | None
    ) -> Mapping[tuple[int, int], Holder]:
        leases = Lease.objects.filter(machine__in=machine_ids)
        seen = Job.objects.all() if viewer is None else Job.objects.visible_to(viewer)
        named = leases.filter(job__in=seen).values_list("machine", "device", "job", "job__name")
        held = dict.fromkeys(leases.values_list("machine", "device"), Holder())
        return held | {
            (machine, device): Holder(name, Job(pk=pk).get_absolute_url())
            for machine, device, pk, name in named
        }

    def planned(self, machine: Machine, viewer: Viewer | None) -> Sequence[Planned]:
        here = on(machine, viewer).select_related("machine")
        first = [*here.queued()[:SHOWN], *here.drafts().shown().order_by("-pk")[:SHOWN]]
        return planned(first[:SHOWN])

    def events(self, machine: Machine, viewer: Viewer | None, wanted: Wanted) -> Rows | None:
        found = on(machine, viewer).filter(wanted.of(self.writer, "events__"), **BEGAN_OR_ENDED)
        rows: Any = found.order_by().annotate(source=Value(JOBS)).values(
            "events__id", "events__at", "events__kind", "events__who", "events__message",
            "source", "pk", "name",
        )  # fmt: skip
        return cast(Rows, rows)

    def kinds(self, machine: Machine, viewer: Viewer | None) -> Iterable[str]:
        found = on(machine, viewer).filter(**BEGAN_OR_ENDED).order_by()
        return found.values_list("events__kind", flat=True).distinct()


def on(machine: Machine, viewer: Viewer | None = None) -> JobQuerySet:
    """The jobs of a machine that the viewer may see; all of them without a viewer."""
    found = Job.objects.filter(machine=machine)
    return found if viewer is None else found.visible_to(viewer)


def named(jobs: Iterable[Job]) -> str:
    """The first jobs by number and name, and how many more there are; empty for none."""
    listed = list(jobs)
    shown = ", ".join(f"{job.pk} ({job.name})" for job in listed[:NAMED])
    return shown + (f" and {len(listed) - NAMED} more" if len(listed) > NAMED else "")
