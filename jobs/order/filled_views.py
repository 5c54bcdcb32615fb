"""The form of a job, filled: with a draft that is changed, or with a checkpoint to train on."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods
from django_htmx.http import HttpResponseClientRedirect

from jobs.launch import submit
from jobs.launch.submit import NotChanged, NotSubmitted
from jobs.models import Artifact, Job
from jobs.order import filling
from jobs.order.filling import NoSettings, NotTrainable
from jobs.order.forms import JobForm
from jobs.order.views import fresh, refused, tell, warn_of_fit
from jobs.queue import rental
from jobs.rehearsal.services import rehearse_first
from jobs.requests import get_job, warn_of_rental
from platform_site.htmx import HtmxHttpRequest

AGAIN = (
    "Look at the draft in another tab; saved once more, this form replaces what stands there now."
)


@require_http_methods(["GET", "POST"])
def job_edit(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """A draft's form. It has the rights of its owner, whoever of the staff fills it in."""
    job = get_job(request, pk)
    if not job.job_kind.has_recipes:
        raise Http404("A job of this kind has no form.")
    if request.method == "POST":
        return _changed(request, job)
    if not job.can_start:
        messages.error(request, submit.why_not_changed(job))
        return redirect(job)
    base, filled, own = filling.draft_of(job)
    form = JobForm(base, job.owner)
    form.initial = filling.initial_of_draft(filled, own)
    context = {**of_draft(job, job.revision), **fresh(form)}
    return render(request, "jobs/order/form.html", context)


def _changed(request: HtmxHttpRequest, job: Job) -> HttpResponse:
    base, _, _ = filling.draft_of(job)
    data = request.POST.copy()
    data["uuid"] = str(job.uuid)
    form = JobForm(base, job.owner, data, is_final=True)
    who, revision = request.user.get_username(), whole(data.get("revision"))
    if form.is_valid():
        try:
            submit.change(job, form.order(), revision=revision, who=who)
        except NotChanged as error:
            again = f" {AGAIN}" if job.can_start else ""
            form.add_error(None, f"{error}{again}")
            revision = job.revision  # of what they were told of
    if not form.is_valid():
        return refused(request, form, **of_draft(job, revision))
    tell(request, form)
    try:
        if data.get("action") == "start" and submit.enqueue(job, who=who):
            warn_of_rental(request, rental.warning(job))
            warn_of_fit(request, job)
        if data.get("action") == "rehearse":
            rehearse_first(job, job.owner)
    except NotSubmitted as error:
        messages.error(request, f"It is saved, and stays a draft. {error}")
    return HttpResponseClientRedirect(job.get_absolute_url()) if request.htmx else redirect(job)


def whole(text: Any) -> int:
    """A number that a form carries; 0 for anything else."""
    number = str(text)
    return int(number) if number.isascii() and number.isdecimal() and len(number) < 16 else 0


def of_draft(job: Job, revision: int) -> dict[str, Any]:
    return {"draft": job, "revision": revision, "action": reverse("jobs:edit", args=[job.pk])}


@require_GET
def job_train_on(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """The form of a new job whose model is an artifact; what must be exported first leads there."""
    mine = Artifact.objects.visible_to(request.user).select_related("job__machine", "job__owner")
    artifact = get_object_or_404(mine, pk=pk)
    try:
        job, base, values = filling.training_on(artifact, request.user)
    except NoSettings as error:
        messages.info(request, str(error))
        return redirect(f"{reverse('jobs:new')}?model={artifact.pk}")
    except NotTrainable as error:
        messages.info(request, str(error))
        return redirect(_instead(artifact))
    form = JobForm(base, request.user)
    form.initial = values
    return render(
        request, "jobs/order/form.html", {**fresh(form), "cloned": job, "artifact": artifact}
    )


def _instead(artifact: Artifact) -> str:
    is_saved = artifact.kind == Artifact.Kind.CHECKPOINT and artifact.is_whole and artifact.job_id
    if not is_saved or not artifact.places.there().exists():
        return artifact.get_absolute_url()
    return f"{reverse('jobs:export', args=[artifact.job_id])}?step={artifact.step}"
