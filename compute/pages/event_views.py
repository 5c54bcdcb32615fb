"""What happened to a machine, by whom and why. A job is named to those who may see it."""

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from compute.machines.users import JOBS, users
from compute.models import Machine
from compute.pages.timeline import SOURCES, kinds_of, rows_of
from platform_site.htmx import HtmxHttpRequest
from platform_site.timeline import Timeline, respond


@require_GET
@vary_on_headers("HX-Request")
def machine_events(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    machine = get_object_or_404(Machine, pk=pk)
    timeline = Timeline(
        title=machine.name,
        url=reverse("compute:events", args=[pk]),
        crumbs=[
            ("Machines", reverse("compute:list")),
            (machine.name, machine.get_absolute_url()),
        ],
        rows=lambda wanted: rows_of(machine, request.user, wanted),
        kinds=kinds_of(machine, request.user),
        sources=SOURCES,
        writers={JOBS: users().writer},
        file=f"machine-{pk}-events",
        has_jobs=True,
        may_grow=not machine.is_retired,
    )
    return respond(request, timeline)
