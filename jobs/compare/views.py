from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from jobs.compare.comparison import MOST, compare_jobs
from jobs.models import Job, JobQuerySet
from platform_site.htmx import HtmxHttpRequest

OFFERED = 50  # the newest jobs, offered for comparison


@require_GET
@vary_on_headers("HX-Request")
def job_compare(request: HtmxHttpRequest) -> HttpResponse:
    mine = Job.objects.visible_to(request.user).select_related("machine", "owner")
    asked = asked_jobs(request)
    jobs = found(mine, asked[:MOST])
    rows = compare_jobs(jobs) if len(jobs) > 1 else []
    different = [row for row in rows if row.differs]
    context = {
        "jobs": jobs,
        "others": mine.exclude(pk__in=asked)[:OFFERED],
        "rows": rows if "all" in request.GET else different,
        "shows_all": "all" in request.GET,
        "different": len(different),
        "equal": len(rows) - len(different),
        "left_out": len(asked) - len(jobs),
        "most": MOST,
    }
    return render(
        request, "jobs/compare/compare.html" + ("#comparison" if request.htmx else ""), context
    )


def asked_jobs(request: HtmxHttpRequest) -> list[int]:
    """Numbers of the jobs in the address, each once: ``?a=1&b=2`` or ``?job=1&job=2&job=3``."""
    texts = [text for name in ("a", "b", "job") for text in request.GET.getlist(name) if text]
    try:
        return list(dict.fromkeys(int(text) for text in texts))
    except ValueError:
        raise Http404("A job is named by its number.") from None


def found(jobs: JobQuerySet, numbers: list[int]) -> list[Job]:
    """The jobs in the requested order. Raises ``Http404`` if one of them is missing."""
    by_number = jobs.in_bulk([number for number in numbers if abs(number) < 2**63])
    if len(by_number) < len(numbers):
        raise Http404("There is no such job.")
    return [by_number[number] for number in numbers]
