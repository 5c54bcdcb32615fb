"""Archiving and deleting jobs, one or many, as they were ticked in the list."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from jobs.archive import belongings, deleting, services
from jobs.archive.belongings import Budget, belongings_of, others_of, reader_words, readings_of
from jobs.archive.forms import DeleteForm, TickedForm
from jobs.archive.refusals import warnings, why_not
from jobs.archive.services import why_not_archived
from jobs.artifacts.deleting import DeleteError
from jobs.models import Job
from jobs.requests import get_job
from platform_site.htmx import HtmxHttpRequest

PAGES = {"compare": "jobs:compare", "delete": "jobs:delete"}


@require_POST
def ticked(request: HtmxHttpRequest) -> HttpResponse:
    """What the list's buttons ask of the jobs that are ticked in it."""
    form, action = TickedForm(request.user, request.POST), request.POST.get("action", "")
    back = f"{reverse('jobs:list')}?{QueryDict(request.POST.get('query', '')).urlencode()}"
    if not form.is_valid():
        messages.error(request, form.first_error)
        return redirect(back)
    jobs: list[Job] = form.cleaned_data["job"]
    if action in PAGES:
        return redirect(f"{reverse(PAGES[action])}?{'&'.join(f'job={job.pk}' for job in jobs)}")
    if action == "unarchive":
        done = sum(services.unarchive(job, who=request.user.get_username()) for job in jobs)
        messages.success(request, f"{done} of {len(jobs)} taken out of the archive.")
    else:
        _archive(request, jobs)
    return redirect(back)


def _archive(request: HtmxHttpRequest, jobs: list[Job]) -> None:
    left = [job for job in jobs if not services.archive(job, who=request.user.get_username())]
    if done := len(jobs) - len(left):
        messages.success(request, f"{done} of {len(jobs)} put into the archive.")
    for job in left:
        messages.warning(request, why_not_archived(job))


@require_POST
def job_archive(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    job = get_job(request, pk)
    _archive(request, [job])
    return redirect(job)


@require_POST
def job_unarchive(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    job = get_job(request, pk)
    services.unarchive(job, who=request.user.get_username())
    return redirect(job)


@require_http_methods(["GET", "POST"])
def delete(request: HtmxHttpRequest) -> HttpResponse:
    """Says what becomes of the jobs' files, and who reads them, before it deletes them."""
    form = DeleteForm(request.user, request.POST if request.method == "POST" else request.GET)
    if not form.is_valid():
        messages.error(request, form.first_error)
        return redirect("jobs:list")
    given = form.cleaned_data
    is_asked = request.method == "POST"
    if is_asked and (given["sure"] or not any(map(warnings, given["job"]))):
        _delete(request, given)
        return redirect("jobs:list")
    status, budget = 200, Budget(belongings.MOST_FILES)
    if is_asked:
        form.add_error("sure", "Tick this to delete all the same.")
        status = 422
    shown = [shown_of(job, budget) for job in given["job"]]
    context = {
        "form": form,
        "shown": shown,
        "is_warned": any(each["warnings"] for each in shown),
        "is_far": any(not each["has"].is_local for each in shown),
        "count": sum(not each["refusals"] for each in shown),
    }
    return render(request, "jobs/archive/delete.html", context, status=status)


def shown_of(job: Job, budget: Budget) -> dict[str, Any]:
    return {
        "job": job,
        "has": belongings_of(job, budget),
        "refusals": why_not(job),
        "warnings": warnings(job),
        "readers": list(map(reader_words, readings_of(job))),
        "others": others_of(job),
    }


def _delete(request: HtmxHttpRequest, given: dict[str, Any]) -> None:
    done, who = 0, request.user.get_username()
    for job in given["job"]:
        try:
            deleting.delete(job, who=who, sure=given["sure"], leaves=given["leaves"])
            done += 1
        except DeleteError as error:
            messages.warning(request, str(error))
    if done:
        what = "One job is" if done == 1 else f"{done} jobs are"
        messages.success(request, f"{what} being deleted. The list shows how far that is.")
