from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from jobs.launch.submit import NotSubmitted
from jobs.rehearsal import services
from jobs.requests import get_job
from platform_site.htmx import HtmxHttpRequest


@require_POST
def job_rehearse(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Rehearse a job; with ``first`` a draft also goes into its line, and starts if that passes."""
    job = get_job(request, pk)
    try:
        if request.POST.get("first"):
            services.rehearse_first(job, request.user)
            return redirect(job)
        return redirect(services.rehearse(job, request.user))
    except NotSubmitted as error:
        messages.error(request, str(error))
        return redirect(job)
