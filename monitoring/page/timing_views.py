"""Where the time of one run goes, also beside that of another."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from jobs.models import Job
from monitoring.page import panels, timing
from monitoring.page.views import get_job
from platform_site.fields import asked, asked_key
from platform_site.htmx import HtmxHttpRequest

OFFERED = 50  # runs to choose from


@require_GET
def part(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """The panel alone, asked again while the run goes on."""
    context = timing.timing(get_job(request, pk))
    return render(request, f"{panels.template_of('timing')}#part", context)


@require_GET
def page(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    job = get_job(request, pk)
    beside, missing = _beside(request, job)
    jobs = [job, *([beside] if beside else [])]
    times = [timing.times_of(each) for each in jobs]
    runs = [
        {"job": each, **timing.shown_of(each, found, times)}
        for each, found in zip(jobs, times, strict=True)
    ]
    context: dict[str, Any] = {
        "job": job,
        "runs": runs,
        "beside": {"job": beside},
        "missing": missing,
        "others": _others(request, job),
    }
    if len(times) > 1 and times[0] and times[1]:
        context["differences"] = timing.differences(times[0], times[1])
    return render(request, "monitoring/page/timing.html", context)


def _beside(request: HttpRequest, job: Job) -> tuple[Job | None, str]:
    """The other run, or a sentence where there is none of that number."""
    said = asked(request.GET.get("with"))
    if not said or (key := asked_key(said)) == job.pk:
        return None, ""
    found = Job.objects.visible_to(request.user).filter(pk=key).first() if key else None
    return found, "" if found else f"There is no run {said} to stand beside."


def _others(request: HttpRequest, job: Job) -> list[Job]:
    """The newest runs that log times of steps, this one left out."""
    mine = Job.objects.visible_to(request.user).shown().exclude(pk=job.pk)
    timed = mine.filter(started_at__isnull=False)[: 2 * OFFERED]
    return [each for each in timed if each.job_kind.step_parts(each.spec_of_kind)][:OFFERED]
