"""The list of jobs: live, filtered, sorted, with the columns that its user chose."""

from typing import Any

from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from jobs import measured
from jobs.listing import columns, saved, table
from jobs.listing.fields import vocabulary
from jobs.listing.language.reading import propose
from jobs.listing.language.words import LONGEST
from jobs.listing.metrics import Metrics
from jobs.models import Job, JobQuerySet
from platform_site.htmx import HtmxHttpRequest

ARCHIVE = {"": "Not archived", "only": "Archived", "all": "With archived"}
LOOKED_AT = 5  # jobs of the page whose metrics are proposed
MOST_NAMES = 300  # of metrics; others can be typed


@require_GET
@vary_on_headers("HX-Request")
def job_list(request: HtmxHttpRequest) -> HttpResponse:
    question = table.question_of(request.GET, columns.chosen_by(request.user))
    found = table.Table(question, request.user, Job.objects.visible_to(request.user))
    context = shown(request, found)
    if request.htmx and request.headers.get("Stamp") == context["stamp"]:
        return HttpResponse(status=204)  # the page shows it already
    template = "jobs/list.html" + ("#answer" if request.htmx else "")
    return render(request, template, context, status=422 if found.problem else 200)


def shown(request: HtmxHttpRequest, found: table.Table) -> dict[str, Any]:
    question, query = found.question, request.GET.copy()
    query.pop("page", None)
    context: dict[str, Any] = {
        "table": found,
        "page": found.page,
        "columns": found.columns,
        "filters": question,
        "problem": found.problem,
        "archive": ARCHIVE.items(),
        "sort": question.sort,
        "statuses": found.statuses,
        "kinds": found.kinds,
        "query": query.urlencode(),
        "named_columns": question.columns if "column" in request.GET else (),
    }
    context["stamp"] = table.stamp_of(found, context["query"])
    if not request.htmx:
        context |= around(request, found)
    return context


def around(request: HtmxHttpRequest, found: table.Table) -> dict[str, Any]:
    """What stands round the table, which a poll leaves as it is."""
    metrics = names_on([job.pk for job in found.page])
    return {
        "views": list(request.user.job_views.all()),
        "column_names": columns.names_offered(metrics),
        "fields": vocabulary(found.metrics).fields.values(),
        "metrics": metrics[:MOST_METRICS_SHOWN],
        "most_columns": columns.MOST,
        "empty_columns": range(min(2, columns.MOST - len(found.columns))),
        "most_views": saved.MOST,
    }


MOST_METRICS_SHOWN = 12


def names_on(page: list[int]) -> list[str]:
    return measured.names_of(page[:LOOKED_AT], MOST_NAMES)


@require_GET
def proposals(request: HtmxHttpRequest) -> JsonResponse:
    """``?where=…``: what could come at the end of a filter that is being written."""
    text = request.GET.get("where", "")[:LONGEST].replace("\0", "")
    known = Metrics(Job.objects.visible_to(request.user))
    found = propose(text, vocabulary(known, names_on(newest(request))))
    return JsonResponse({"at": found.at, "words": found.words})


def newest(request: HtmxHttpRequest) -> list[int]:
    jobs: JobQuerySet = Job.objects.visible_to(request.user).shown()
    return list(jobs.values_list("pk", flat=True)[:LOOKED_AT])
