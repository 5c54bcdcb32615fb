from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from jobs.dryfire import services
from jobs.dryfire.proposing import changed_since, proposed_for
from jobs.launch.submit import NotSubmitted
from jobs.order import filling
from jobs.order.filled_views import of_draft
from jobs.order.forms import JobForm, initial, limits_of
from jobs.order.knob_fields import shown
from jobs.order.views import fresh
from jobs.recipebook import book
from jobs.rehearsal.report import report_of
from jobs.requests import get_job
from platform_site.htmx import HtmxHttpRequest


@require_POST
def job_dry_fire(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    job = get_job(request, pk)
    try:
        run = services.dry_fire(job, request.user)
    except NotSubmitted as error:
        messages.error(request, str(error))
        return redirect(job)
    messages.info(request, services.about(run))
    return redirect(run)


@require_GET
def job_proposal(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """The form of the job that was dry-fired, with what is proposed: of a draft, or of a copy."""
    run = get_job(request, pk)
    tried = getattr(run, "rehearses", None)
    if tried is None:
        raise Http404("Nothing is proposed.")
    job = get_job(request, tried.job_id)
    spec = proposed_for(run, job, report_of(run))
    if spec is None:
        raise Http404("Nothing is proposed.")
    if was := changed_since(run, job):
        messages.warning(request, was)
    values = {name: shown(value) for name, value in spec.values.items()}
    values["overrides"] = "\n".join(spec.overrides)
    if job.can_start:
        base, filled, own = filling.draft_of(job)
        form = JobForm(base, job.owner)
        form.initial = filling.initial_of_draft(filled, own) | values
        context = {**of_draft(job, job.revision), **fresh(form), "planned": True}
    else:
        base, filled = book.cloned_from(job, request.user)
        form = JobForm(base, request.user)
        own = {"machine": job.machine_id, "cloned": job.pk, **limits_of(job)}
        form.initial = initial(filled) | own | values
        context = {**fresh(form), "cloned": job, "planned": True}
    return render(request, "jobs/order/form.html", context)
