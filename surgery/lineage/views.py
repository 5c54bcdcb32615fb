"""The lineage of an artifact or a job as a drawing, and making it again."""

import uuid as uuids
from dataclasses import replace

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from jobs.artifacts.lineage import lineage, name_of
from jobs.artifacts.views import get_artifact
from jobs.launch.command import command_for
from jobs.launch.once import NOT_ITS_OWN, is_taken
from jobs.launch.submit import MadeAnother, NotSubmitted, submit
from jobs.models import Artifact, Job
from jobs.requests import get_job
from platform_site.drawing import HIGH, WIDE
from platform_site.htmx import HtmxHttpRequest
from surgery.lineage import graph, making


@require_GET
def of_job(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    return _page(request, get_job(request, pk))


@require_GET
def of_artifact(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    return _page(request, get_artifact(request, pk))


def _page(request: HtmxHttpRequest, row: Artifact | Job) -> HttpResponse:
    up, down = (lineage(row, way, request.user) for way in ("up", "down"))
    maker = row if isinstance(row, Job) else row.job
    context = {
        "row": row,
        "name": name_of(row),
        "graph": graph.drawn(up, down),
        "maker": maker,
        "sizes": {"wide": WIDE, "high": HIGH},
    }
    return render(request, "surgery/lineage/page.html", context)


@require_http_methods(["GET", "POST"])
def again(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """The command that makes it again; a POST queues it."""
    job = get_job(request, pk)
    order = making.order_again(job, request.user, _uuid(request.POST.get("uuid", "")))
    try:
        command, why_not = command_for(order), making.why_not(job, order)
    except (KeyError, ValueError) as error:
        command, why_not = None, f"There is no such command any more: {error}"
    problem = ""
    if is_taken(order.uuid, request.user):
        order, problem = replace(order, uuid=uuids.uuid4()), f"{NOT_ITS_OWN} Queue it once more."
    if request.method == "POST" and command and not why_not and not problem:
        try:
            made = submit(order, start=True)
        except NotSubmitted as error:
            problem = str(error)
            if isinstance(error, MadeAnother):
                order = replace(order, uuid=uuids.uuid4())
        else:
            messages.success(request, f"{made.name} is queued.")
            return redirect(made)
    made_so_far = making.made_so_far(job, request.user)
    context = {
        "job": job,
        "uuid": order.uuid,
        "words": command.argv if command else (),
        "why_not": why_not,
        "problem": problem,
        "after": order.after,
        "is_repeatable": job.job_kind.is_repeatable(job.spec_of_kind),
        "made": made_so_far,
        "compared": making.compared(made_so_far),
    }
    status = 422 if request.method == "POST" else 200
    return render(request, "surgery/lineage/again.html", context, status=status)


def _uuid(text: str) -> uuids.UUID | None:
    try:
        return uuids.UUID(text)
    except ValueError:
        return None
