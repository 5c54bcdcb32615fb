"""Points as JSON: the charts of one run, and one metric of many runs."""

from collections.abc import Sequence
from typing import Any

import orjson
from django import forms
from django.http import HttpResponse
from django.views.decorators.http import require_GET

from jobs.models import Job
from monitoring.page.figures import pairs, windows_shown
from monitoring.page.views import get_job
from monitoring.store import points
from platform_site.htmx import HtmxHttpRequest

NAMES = 200  # of one request
RUNS = 100
WIDEST = 10_000  # pixels


class WindowForm(forms.Form):
    """Which part of a chart, and how wide it is drawn. Without a width all points are sent."""

    low = forms.IntegerField(required=False, min_value=0, max_value=2**63 - 1)
    high = forms.IntegerField(required=False, min_value=0, max_value=2**63 - 1)
    width = forms.IntegerField(required=False, min_value=1, max_value=WIDEST)


@require_GET
def of_run(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """``?name=…&name=…&low=…&high=…&width=…``: the points of some series of a run."""
    job, form = get_job(request, pk), WindowForm(request.GET)
    if not form.is_valid():
        return answer({"errors": form.errors.get_json_data()}, 422)
    number = points.position([job])[job.pk]  # first: what comes later is then sent as news
    found = points.window(job, named(request.GET.getlist("name")), **form.cleaned_data)
    body = {"number": number, **windows_shown(found)}
    if "times" in request.GET:
        body["times"] = pairs(points.times(job))
    return answer(body)


@require_GET
def names(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """The names of all series of a run, in order."""
    return answer({"names": points.all_names(get_job(request, pk))})


@require_GET
def across_runs(request: HtmxHttpRequest) -> HttpResponse:
    """``?name=…&job=1&job=2&width=…&seen=1:17``: one metric of many runs.

    Of a run whose cursor is said only what is new is sent, unless it must be read anew.
    """
    form = WindowForm(request.GET)
    if not form.is_valid():
        return answer({"errors": form.errors.get_json_data()}, 422)
    wanted = numbers(request.GET.getlist("job"))[:RUNS]
    jobs = {job.pk: job for job in Job.objects.visible_to(request.user).filter(pk__in=wanted)}
    name, width = request.GET.get("name", "").replace("\0", ""), form.cleaned_data["width"]
    return answer({"name": name, "runs": runs_shown(jobs, name, width, cursors(request))})


def runs_shown(
    jobs: dict[int, Job], name: str, width: int | None, seen: dict[int, int]
) -> dict[str, Any]:
    position = points.position(jobs.values())
    news = {
        pk: points.since(job, seen[pk])
        for pk, job in jobs.items()
        if pk in seen and position[pk] != seen[pk]
    }
    fresh = [job for pk, job in jobs.items() if pk not in seen or (pk in news and news[pk].anew)]
    found = points.across(fresh, name, width)
    shown: dict[str, Any] = {}
    for job in fresh:
        window = found.get(job.pk)
        whole = pairs(window.column) if window else []
        shown[str(job.pk)] = {"number": position[job.pk], "anew": True, "points": whole}
    for pk, new in news.items():
        if not new.anew:
            more = pairs(new.points[name]) if name in new.points else []
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


def answer(body: dict[str, Any], status: int = 200) -> HttpResponse:
    return HttpResponse(orjson.dumps(body), content_type="application/json", status=status)
