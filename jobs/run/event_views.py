"""What happened to a job: when, by whom, and why."""

from functools import reduce
from operator import or_
from typing import Any, cast

from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from jobs.models import Event, Job
from platform_site.htmx import HtmxHttpRequest
from platform_site.timeline import Rows, Timeline, Wanted, respond


@require_GET
@vary_on_headers("HX-Request")
def job_events(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    job = get_object_or_404(Job.objects.visible_to(request.user), pk=pk)
    timeline = Timeline(
        title=job.name,
        url=reverse("jobs:events", args=[pk]),
        crumbs=[("Jobs", reverse("jobs:list")), (job.name, job.get_absolute_url())],
        rows=lambda wanted: rows_of(job, wanted),
        kinds=job.events.order_by().values_list("kind", flat=True).distinct(),
        sources=Event.Source.choices,
        file=f"job-{pk}-events",
        attempts=list(range(1, job.attempt + 1)),
    )
    return respond(request, timeline)


def rows_of(job: Job, wanted: Wanted) -> Rows:
    sources = [wanted.source] if wanted.source else Event.Source.values
    matching = (wanted.of(source) & Q(source=source) for source in sources)
    found = job.events.filter(reduce(or_, matching))
    rows: Any = found.values("id", "at", "attempt", "kind", "who", "message", "source", "data")
    return cast(Rows, rows)
