"""From a request to the job that it names, and what its user is told on the next page."""

from django.contrib import messages
from django.http import Http404
from django.shortcuts import get_object_or_404

from jobs.models import Job, JobQuerySet
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


def asked_jobs(request: HtmxHttpRequest) -> list[int]:
    """Numbers of the jobs in the address, each once: ``?a=1&b=2`` or ``?job=1&job=2&job=3``."""
    texts = [text for name in ("a", "b", "job") for text in request.GET.getlist(name) if text]
    try:
        return list(dict.fromkeys(int(text) for text in texts))
    except ValueError:
        raise Http404("A job is named by its number.") from None


def found_jobs(jobs: JobQuerySet, numbers: list[int]) -> list[Job]:
    """The jobs in the requested order. Raises ``Http404`` if one of them is missing."""
    by_number = jobs.in_bulk([number for number in numbers if abs(number) < 2**63])
    if len(by_number) < len(numbers):
        raise Http404("There is no such job.")
    return [by_number[number] for number in numbers]
