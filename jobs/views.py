from typing import Any

from django.core.paginator import Paginator
from django.db.models import Count, QuerySet
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from jobs.kinds.registry import registry
from jobs.models import Job, JobQuerySet, Status
from platform_site.htmx import HtmxHttpRequest

PAGE = 50
SORTS = {
    "name": ("name",),
    "kind": ("kind",),
    "status": ("status",),
    "created_at": ("created_at",),
    "started_at": ("started_at",),
    "duration": ("duration",),
}


@require_GET
@vary_on_headers("HX-Request")
def job_list(request: HtmxHttpRequest) -> HttpResponse:
    mine = Job.objects.visible_to(request.user)
    filters = {n: request.GET.get(n, "").replace("\0", "") for n in ("status", "kind", "q")}
    sort = request.GET.get("sort", "-created_at")
    if sort.removeprefix("-") not in SORTS:
        sort = "-created_at"
    kinds = kinds_of(mine)
    jobs = filtered(mine, filters, kinds).with_duration().select_related("machine", "owner")
    query = request.GET.copy()
    query.pop("page", None)
    context = {
        "page": Paginator(jobs.order_by(sort, "-pk"), PAGE).get_page(request.GET.get("page")),
        "filters": filters,
        "sort": sort,
        "statuses": counted(mine, "status", Status.choices),
        "kinds": counted(mine, "kind", kinds),
        "query": query.urlencode(),
    }
    return render(request, "jobs/list.html" + ("#table" if request.htmx else ""), context)


def filtered(
    jobs: JobQuerySet, filters: dict[str, str], kinds: list[tuple[str, str]]
) -> JobQuerySet:
    if filters["status"] in Status.values:
        jobs = jobs.filter(status=filters["status"])
    if filters["kind"] in dict(kinds):
        jobs = jobs.filter(kind=filters["kind"])
    return jobs.filter(name__icontains=filters["q"]) if filters["q"] else jobs


def kinds_of(jobs: QuerySet[Job]) -> list[tuple[str, str]]:
    """All kinds that there are, and those of jobs whose kind is not installed any more."""
    known = registry().choices()
    used = jobs.order_by().values_list("kind", flat=True).distinct()
    return known + sorted((kind, kind) for kind in set(used) - dict(known).keys())


def counted(
    jobs: QuerySet[Job], field: str, choices: list[tuple[str, Any]]
) -> list[tuple[str, str, int]]:
    rows = jobs.order_by().values_list(field).annotate(count=Count("pk"))
    counts = dict(rows)
    return [(value, str(label), counts.get(value, 0)) for value, label in choices]
