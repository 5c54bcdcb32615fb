import hashlib
from typing import Any

from django.core.paginator import Paginator
from django.db.models import Count, QuerySet
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from jobs import measured
from jobs.kinds.registry import registry
from jobs.models import HELD, Job, JobQuerySet, Status
from platform_site.fields import asked
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
FILTERS = ("status", "kind", "q", "metric", "archive")
ARCHIVE = {"": "Not archived", "only": "Archived", "all": "With archived"}
FIGURES = (measured.LAST, measured.LOW, measured.HIGH)  # of a metric, by which jobs are sorted too
LOOKED_AT = 5  # jobs of the page whose metrics are suggested
MOST_NAMES = 300  # of metrics; others can be typed


@require_GET
@vary_on_headers("HX-Request")
def job_list(request: HtmxHttpRequest) -> HttpResponse:
    filters = {name: asked(request.GET.get(name)) for name in FILTERS}
    mine = in_archive(Job.objects.visible_to(request.user), filters["archive"])
    metric, kinds = filters["metric"], kinds_of(mine)
    sort = known_sort(request.GET.get("sort", ""), metric)
    jobs = filtered(mine, filters, kinds).with_duration().select_related("machine", "owner")
    jobs = jobs.prefetch_related("deletions")
    page = Paginator(ordered(jobs, sort, metric), PAGE).get_page(request.GET.get("page"))
    query = request.GET.copy()
    query.pop("page", None)
    context: dict[str, Any] = {
        "page": page,
        "figures": measured.figures_of([job.pk for job in page], metric) if metric else {},
        "metrics": measured.names_of([job.pk for job in page][:LOOKED_AT], MOST_NAMES),
        "filters": filters,
        "archive": ARCHIVE.items(),
        "sort": sort,
        "statuses": statuses_of(mine),
        "kinds": counted(mine, "kind", kinds),
        "query": query.urlencode(),
    }
    context["stamp"] = stamp_of(context)
    if request.htmx and request.headers.get("Stamp") == context["stamp"]:
        return HttpResponse(status=204)  # the page shows it already
    return render(request, "jobs/list.html" + ("#answer" if request.htmx else ""), context)


def stamp_of(context: dict[str, Any]) -> str:
    """Changes whenever the list would look different, but for the time that passes."""
    page = context["page"]
    jobs = [(job.pk, job.revision, job.step, done_of(job)) for job in page]
    told = [context[name] for name in ("query", "figures", "statuses", "kinds")]
    shown = repr([page.number, page.paginator.count, jobs, *told])
    return hashlib.sha256(shown.encode()).hexdigest()[:16]


def done_of(job: Job) -> tuple[float | None, bool] | None:
    """How far its deletion is, and whether nobody goes on with it."""
    deletion = job.deletion if job.deleting_at else None
    return (deletion.percent, deletion.is_silent) if deletion else None


def in_archive(jobs: JobQuerySet, wanted: str) -> JobQuerySet:
    """Without those in the archive, unless they are wanted: ``only`` them, or ``all``."""
    if wanted == "only":
        return jobs.filter(archived_at__isnull=False)
    return jobs if wanted == "all" else jobs.shown()


def known_sort(asked: str, metric: str) -> str:
    by = asked.removeprefix("-")
    return asked if by in SORTS or (metric and by in FIGURES) else "-created_at"


def ordered(jobs: JobQuerySet, sort: str, metric: str) -> QuerySet[Job]:
    if sort.removeprefix("-") in FIGURES:
        return measured.ordered(jobs, metric, sort)
    return jobs.order_by(sort, "-pk")


def filtered(
    jobs: JobQuerySet, filters: dict[str, str], kinds: list[tuple[str, str]]
) -> JobQuerySet:
    if filters["status"] in (HELD, *Status.values):
        jobs = jobs.standing(filters["status"])
    if filters["kind"] in dict(kinds):
        jobs = jobs.filter(kind=filters["kind"])
    return jobs.filter(name__icontains=filters["q"]) if filters["q"] else jobs


def kinds_of(jobs: QuerySet[Job]) -> list[tuple[str, str]]:
    """All kinds that there are, and those of jobs whose kind is not installed any more."""
    known = registry().choices()
    used = jobs.order_by().values_list("kind", flat=True).distinct()
    return known + sorted((kind, kind) for kind in set(used) - dict(known).keys())


def statuses_of(jobs: JobQuerySet) -> list[tuple[str, str, int]]:
    """The statuses, with those that are held beside those that are queued."""
    held, rows = jobs.standing(HELD).count(), list[tuple[str, str, int]]()
    for value, label, count in counted(jobs, "status", Status.choices):
        is_queued = value == Status.QUEUED
        rows.append((value, label, count - held if is_queued else count))
        rows += [(HELD, HELD.capitalize(), held)] if is_queued else []
    return rows


def counted(
    jobs: QuerySet[Job], field: str, choices: list[tuple[str, Any]]
) -> list[tuple[str, str, int]]:
    rows = jobs.order_by().values_list(field).annotate(count=Count("pk"))
    counts = dict(rows)
    return [(value, str(label), counts.get(value, 0)) for value, label in choices]
