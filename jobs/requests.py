"""From a request to the job that it names, and what its user is told on the next page."""

from django.contrib import messages
from django.shortcuts import get_object_or_404

from jobs.models import Job
from platform_site.htmx import HtmxHttpRequest


def get_job(request: HtmxHttpRequest, pk: int) -> Job:
    return get_object_or_404(Job.objects.visible_to(request.user), pk=pk)


def warn_of_rental(request: HtmxHttpRequest, text: str) -> None:
    if text:
        messages.warning(request, text)


def asked_step(request: HtmxHttpRequest) -> int | None:
    """The step of a checkpoint that ``?step=`` names, for a form to begin with."""
    text = request.GET.get("step", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None
