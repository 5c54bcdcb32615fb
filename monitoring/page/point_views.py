"""Points as JSON: the charts of one run, and one metric of many runs."""

import gzip
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
from django import forms
from django.http import HttpResponse
from django.views.decorators.http import require_GET

from jobs.models import Job
from monitoring.page.axes import axis_of
from monitoring.page.figures import pairs, windows_shown
from monitoring.page.views import get_job
from monitoring.series.column import EMPTY
from monitoring.store import points
from platform_site.htmx import HtmxHttpRequest

NAMES = 200  # of one request
RUNS = 100
WIDEST = 10_000  # pixels
SMALL = 1000  # bytes that are sent as they are


class WindowForm(forms.Form):
    """Which part of a chart, and how wide it is drawn. Without a width all points are sent."""

    low = forms.IntegerField(required=False, min_value=0, max_value=2**63 - 1)
    high = forms.IntegerField(required=False, min_value=0, max_value=2**63 - 1)
    width = forms.IntegerField(required=False, min_value=1, max_value=WIDEST)


@require_GET
def of_run(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """``?name=…&name=…&low=…&high=…&width=…``: the points of some series of a run.

    With ``x=time``, ``x=tokens`` or ``x=metric:NAME`` also where their steps lie on such an axis.
    """
    job, form = get_job(request, pk), WindowForm(request.GET)
    if not form.is_valid():
        return answer(request, {"errors": form.errors.get_json_data()}, 422)
    number = points.position([job])[job.pk]  # first: what comes later is then sent as news
    found = points.window(job, named(request.GET.getlist("name")), **form.cleaned_data)
    body = {"number": number, **windows_shown(found)}
    if "times" in request.GET:
        body["times"] = pairs(points.times(job))
    if asked := request.GET.get("x"):
        steps = [window.column.steps for window in found.values()]
        every = np.unique(np.concatenate(steps)) if steps else EMPTY.steps
        body["x"] = axis_of(job, asked).shown(every)
    return answer(request, body)


@require_GET
def names(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """The names of all series of a run, in order."""
    return answer(request, {"names": points.all_names(get_job(request, pk))})


@require_GET
def across_runs(request: HtmxHttpRequest) -> HttpResponse:
    """``?name=…&job=1&job=2&width=…&seen=1:17``: one metric of many runs.

    Of a run whose cursor is said only what is new is sent, unless it must be read anew.
    """
    form = WindowForm(request.GET)
    if not form.is_valid():
        return answer(request, {"errors": form.errors.get_json_data()}, 422)
    wanted = numbers(request.GET.getlist("job"))[:RUNS]
    jobs = {job.pk: job for job in Job.objects.visible_to(request.user).filter(pk__in=wanted)}
    name, width = request.GET.get("name", "").replace("\0", ""), form.cleaned_data["width"]
    return answer(request, {"name": name, "runs": runs_shown(jobs, name, width, cursors(request))})


def runs_shown(
    jobs: dict[int, Job], name: str, width: int | None, seen: dict[int, int]
) -> dict[str, Any]:
    position = points.position(jobs.values())
    changed = {pk: seen[pk] for pk in jobs if pk in seen and position[pk] != seen[pk]}
    news = points.since_across(changed, name)
    fresh = [job for pk, job in jobs.items() if pk not in seen or (pk in news and news[pk].anew)]
    found = points.across(fresh, name, width)
    shown: dict[str, Any] = {}
    for job in fresh:
        window = found.get(job.pk)
        whole = pairs(window.column) if window else []
        shown[str(job.pk)] = {"number": position[job.pk], "anew": True, "points": whole}
    for pk, new in news.items():
        if not new.anew:
            more = pairs(new.points.get(name, EMPTY))
            shown[str(pk)] = {"number": new.number, "anew": False, "points": more}
    return shown


def cursors(request: HtmxHttpRequest) -> dict[int, int]:
    """``seen=JOB:NUMBER`` as numbers; others are left out."""
    said = (text.partition(":") for text in request.GET.getlist("seen"))
    return {
        int(job): int(number) for job, _, number in said if is_number(job) and is_number(number)
    }


def numbers(texts: Sequence[str]) -> list[int]:
    return [int(text) for text in texts if is_number(text)]


def is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19  # that a database can hold


def named(texts: Sequence[str]) -> list[str]:
    return [text for text in texts[:NAMES] if "\0" not in text]


def answer(request: HtmxHttpRequest, body: dict[str, Any], status: int = 200) -> HttpResponse:
    """Packed lightly: points are many digits, where packing well is slow and gains little."""
    data, headers = orjson.dumps(body), {"Vary": "Accept-Encoding"}
    if len(data) > SMALL and "gzip" in request.headers.get("Accept-Encoding", ""):
        data, headers["Content-Encoding"] = gzip.compress(data, compresslevel=1), "gzip"
    kind = "application/json"
    return HttpResponse(data, content_type=kind, status=status, headers=headers)
