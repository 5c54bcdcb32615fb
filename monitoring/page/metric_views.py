"""One metric as a table, what a user pins, and the figures of a run as files."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

from asgiref.sync import sync_to_async
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST
from django.views.decorators.vary import vary_on_headers

from jobs.models import Job
from monitoring.models import Series
from monitoring.page import pins
from monitoring.page.export import FORMATS
from monitoring.page.figures import best_of, better_side
from monitoring.page.marks import marks_of
from monitoring.page.metric_forms import MetricForm, PinForm, in_order
from monitoring.page.point_views import answer, named
from monitoring.page.views import get_job
from monitoring.series.column import EMPTY
from monitoring.store import points
from platform_site.htmx import HtmxHttpRequest

ROWS = 100  # of one page


@require_GET
@vary_on_headers("HX-Request")
def metric(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """All points of one metric, a page at a time: what its chart shows, as figures."""
    job, form = get_job(request, pk), MetricForm(request.GET)
    is_right = form.is_valid()
    if "name" not in form.cleaned_data:
        raise Http404("No metric is named.")
    name = form.cleaned_data["name"].replace("\0", "")
    series = Series.objects.filter(job=job, name=name).first()
    if series is None:
        raise Http404(f"This run has no metric {name}.")
    context = {"job": job, "series": series, "form": form, "sort": request.GET.get("sort", "")}
    if is_right:
        context |= rows_of(request, job, form.cleaned_data | {"name": name})
    context |= {"better": better_side(name), "best": best_of(series), "endings": [*FORMATS]}
    context["is_first"] = pins.is_first(request.user, job, name)
    template = "monitoring/page/metric.html" + ("#table" if request.htmx else "")
    return render(request, template, context, status=200 if is_right else 422)


def rows_of(request: HtmxHttpRequest, job: Job, asked: dict[str, Any]) -> dict[str, Any]:
    found = points.window(job, [asked["name"]], asked["low"], asked["high"]).get(asked["name"])
    column = found.column if found else EMPTY
    pairs = [*zip(column.steps.tolist(), column.values.tolist(), strict=True)]
    page = Paginator(in_order(pairs, asked["sort"]), ROWS).get_page(request.GET.get("page"))
    times = points.times(job).within(asked["low"], asked["high"])
    known = dict(zip(times.steps.tolist(), times.values.tolist(), strict=True))
    rows = [
        {"step": step, "value": value, "at": moment(known.get(step))}
        for step, value in page.object_list
    ]
    return {"page": page, "rows": rows, "has_answers": job.job_kind.writes_answers}


def moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


@require_GET
def marks(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """What the axes of the charts are marked with."""
    return answer(request, {"marks": marks_of(get_job(request, pk))})


@require_POST
def pin(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Puts a metric among the first on the pages of such jobs, or takes it from there."""
    job, form = get_job(request, pk), PinForm(request.POST)
    if not form.is_valid():
        return answer(request, {"errors": form.errors.get_json_data()}, 422)
    name = form.cleaned_data["name"].replace("\0", "")
    try:
        pins.put_first(request.user, job, name, form.cleaned_data["first"])
    except pins.PinError as error:
        return answer(request, {"errors": {"name": [{"message": str(error)}]}}, 422)
    if "application/json" in request.headers.get("Accept", ""):
        return answer(request, {"name": name, "first": form.cleaned_data["first"]})
    return redirect(f"{job.get_absolute_url()}#charts")


@require_GET
def export(request: HtmxHttpRequest, pk: int, ending: str) -> StreamingHttpResponse:
    """``?name=…&name=…``: some metrics as a file, or without a name all of them."""
    job = get_job(request, pk)
    if ending not in FORMATS:
        raise Http404("There are .csv, .json and .parquet.")
    kind, write = FORMATS[ending]
    known = points.all_names(job)
    wanted = named(request.GET.getlist("name"))
    names = [name for name in known if name in set(wanted)] if "name" in request.GET else known
    file = f"run-{job.pk}-metrics.{ending}"
    return StreamingHttpResponse(
        one_by_one(write(job, names)),
        content_type=kind,
        headers={"Content-Disposition": f'attachment; filename="{file}"'},
    )


async def one_by_one(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Each part is made when the one before it is sent."""
    following = sync_to_async(lambda: next(parts, None))
    while (part := await following()) is not None:
        yield part
