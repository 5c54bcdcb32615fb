"""Archiving a job, and deleting one or many, as they were ticked in the list."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from jobs.archive import belongings, deleting, services
from jobs.archive.belongings import Budget, belongings_of, others_of, reader_words, readings_of
from jobs.archive.forms import DeleteForm
from jobs.archive.refusals import warnings, why_not
from jobs.archive.services import why_not_archived
from jobs.models import Job
from jobs.requests import get_job
from platform_site.htmx import HtmxHttpRequest


@require_POST
def job_archive(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    job = get_job(request, pk)
    if services.archive(job, who=request.user.get_username()):
        messages.success(request, f"{job.name} is put into the archive.")
    else:
        messages.warning(request, why_not_archived(job))
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
    who = request.user.get_username()
    done, refused = deleting.delete_all(
        given["job"], who=who, sure=given["sure"], leaves=given["leaves"]
    )
    for reason in refused:
        messages.warning(request, reason)
    if done:
        what = "One job is" if done == 1 else f"{done} jobs are"
        messages.success(request, f"{what} being deleted. The list shows how far that is.")
