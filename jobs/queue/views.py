"""The page of the queue, and what its buttons do."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.forms import Form
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST
from django.views.decorators.vary import vary_on_headers

from compute.models import Machine
from jobs.models import Job, Priority
from jobs.queue import verbs
from jobs.queue.forms import FilterForm, HoldForm, MoveForm, PriorityForm
from jobs.queue.state import queue_of, reason_of
from jobs.queue.verbs import QueueError
from platform_site.htmx import HtmxHttpRequest

PAGE = 25


@require_GET
@vary_on_headers("HX-Request")
def queue_page(request: HtmxHttpRequest) -> HttpResponse:
    context = context_of(request, request.GET)
    if request.htmx and request.GET.get("stamp") == context["stamp"]:
        return HttpResponse(status=204)  # the page shows it already
    return render(request, "jobs/queue/queue.html" + ("#queue" if request.htmx else ""), context)


def context_of(request: HtmxHttpRequest, asked: QueryDict) -> dict[str, Any]:
    form = FilterForm(asked)
    machine = form.asked("machine")
    machines = [machine] if machine else list(Machine.objects.all())
    parts = [part_of(each, form.asked("owner"), asked.get("page")) for each in machines]
    query = asked.copy()
    for name in ("stamp", "csrfmiddlewaretoken"):
        query.pop(name, None)
    shown = json.dumps([query.urlencode(), *(part["queue"].as_json() for part in parts)])
    return {
        "form": form,
        "parts": parts,
        "one": len(machines) == 1,
        "is_empty": not any(part["queue"].running or part["queue"].waiting for part in parts),
        "query": query.urlencode(),
        "priorities": Priority.choices,
        "stamp": hashlib.sha256(shown.encode()).hexdigest()[:16],
    }


def part_of(machine: Machine, owner: Any, page: str | None) -> dict[str, Any]:
    """One machine's queue with a page of its waiting jobs."""
    shown = queue_of(machine)
    rows = [row for row in shown.waiting if owner in (None, row.job.owner)]
    running = [job for job in shown.running if owner in (None, job.owner)]
    return {"queue": shown, "running": running, "page": Paginator(rows, PAGE).get_page(page)}


@require_GET
def queue_reason(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Why a job waits, for a page that shows one job."""
    job = get_job(request, pk)
    return render(request, "jobs/queue/reason.html", {"job": job, "waits": reason_of(job)})


@require_POST
def queue_move(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    form = MoveForm(request.POST)
    return answer(request, pk, form, lambda job: move(request, job, form.cleaned_data))


def move(request: HtmxHttpRequest, job: Job, asked: dict[str, Any]) -> bool:
    if asked["to"]:
        return verbs.move_to(job, request.user, asked["to"])
    beside = verbs.move_before if asked["before"] else verbs.move_after
    other = Job.objects.filter(pk=asked["before"] or asked["behind"]).first()
    if other is None:
        raise QueueError("The job to move it beside is not there any more.")
    return beside(job, request.user, other)


@require_POST
def queue_hold(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    form = HoldForm(request.POST)
    return answer(
        request, pk, form, lambda job: verbs.hold(job, request.user, form.cleaned_data["why"])
    )


@require_POST
def queue_release(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    return answer(request, pk, None, lambda job: verbs.release(job, request.user))


@require_POST
def queue_priority(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    form = PriorityForm(request.POST)
    return answer(
        request,
        pk,
        form,
        lambda job: verbs.set_priority(job, request.user, form.cleaned_data["priority"]),
    )


def answer(
    request: HtmxHttpRequest, pk: int, form: Form | None, act: Callable[[Job], bool]
) -> HttpResponse:
    """Do it, or say why not; then show the part of the queue that was shown before."""
    job = get_job(request, pk)
    status = 200
    if form and not form.is_valid():
        status = 422
        messages.error(request, " ".join(str(e) for each in form.errors.values() for e in each))
    else:
        try:
            act(job)
        except QueueError as error:
            messages.error(request, str(error))
    asked = QueryDict(request.POST.get("query", ""))
    if request.htmx or status == 422:
        context = context_of(request, asked) | {"oob": True}
        part = "#answer" if request.htmx else ""
        return render(request, "jobs/queue/queue.html" + part, context, status=status)
    return redirect(f"{reverse('queue:page')}?{asked.urlencode()}")


def get_job(request: HtmxHttpRequest, pk: int) -> Job:
    jobs = Job.objects.visible_to(request.user).select_related("machine", "owner")
    return get_object_or_404(jobs, pk=pk)
