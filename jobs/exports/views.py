import uuid as uuids

from django.contrib.auth.models import User
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from jobs.exports import services
from jobs.exports.forms import ExportForm
from jobs.launch.submit import NotSubmitted
from jobs.models import Job
from jobs.queue import rental
from jobs.requests import asked_step, get_job, warn_of_rental
from platform_site.htmx import HtmxHttpRequest


@require_http_methods(["GET", "POST"])
def job_export(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """The form of an export, with the checkpoint that ``?step=`` names chosen."""
    job = get_job(request, pk)
    found = services.exportable(job)
    if request.method == "GET":
        initial = {"uuid": uuids.uuid4(), "step": asked_step(request)}
        return _shown(request, job, ExportForm(job, found, request.user, initial=initial))
    form = ExportForm(job, found, request.user, request.POST)
    if not form.is_valid():
        return _shown(request, job, form, status=422)
    try:
        made = _export(request.user, job, form)
    except NotSubmitted as error:
        form.refuse(error)
        return _shown(request, job, form, status=422)
    warn_of_rental(request, rental.warning(made))
    return redirect(made)


def _export(user: User, job: Job, form: ExportForm) -> Job:
    given = form.cleaned_data
    saved = services.find(job, given["step"])
    return services.export(
        job,
        saved,
        user,
        name=given["name"],
        keep_adapter=given["keep_adapter"],
        uuid=given["uuid"],
    )


def _shown(request: HtmxHttpRequest, job: Job, form: ExportForm, status: int = 200) -> HttpResponse:
    context = {"job": job, "form": form, "found": services.exportable(job)}
    return render(request, "jobs/exports/form.html", context, status=status)
