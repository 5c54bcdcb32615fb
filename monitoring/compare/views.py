"""Runs laid over each other: their charts, their figures, their settings, their events."""

import hashlib
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from jobs import measured
from jobs.colours import colour_of, dash_of
from jobs.compare.comparison import MOST, compare_jobs
from jobs.listing.fields import known_fields
from jobs.models import Job
from monitoring.compare import legend
from monitoring.compare.axes import AXES, axis_of
from monitoring.compare.lines import Window, chart
from monitoring.compare.question import Found, Question, found, question_of
from monitoring.page.point_views import WIDEST, answer
from monitoring.store import points
from platform_site.htmx import HtmxHttpRequest

OFFERED = 50  # the newest jobs, offered for comparison
MOST_NAMES = 300  # of metrics that are proposed
LOOKED_AT = 5  # runs whose metrics are proposed
AT_ONCE = 8  # runs whose settings come with the page; of more they follow once they are looked at
AHEAD = 4  # charts that the browser asks for while it still reads the page
AHEAD_WIDTH = 384  # pixels: about those of a chart, which a browser knows later
GROUPED_BY = ("kind", "recipe", "model", "data", "machine", "verl", "gpus", "owner")


class WindowForm(forms.Form):
    """Which part of the axis a chart shows, in how many pixels, and what the page has seen."""

    width = forms.IntegerField(min_value=10, max_value=WIDEST)
    low = forms.FloatField(required=False)
    high = forms.FloatField(required=False)


@require_GET
@vary_on_headers("HX-Request")
def compare(request: HtmxHttpRequest) -> HttpResponse:
    question = question_of(request.GET)
    runs = found(question, request.user)
    if request.htmx:
        context = {"runs": runs, "question": question, **settings_of(question, runs)}
        return render(request, "monitoring/compare/settings.html", context)
    return render(request, "monitoring/compare/compare.html", shown(request, question, runs))


def shown(request: HtmxHttpRequest, question: Question, runs: Found) -> dict[str, Any]:
    jobs = runs.jobs
    metrics = legend.metrics_of(question, jobs)
    mine = Job.objects.visible_to(request.user)
    context: dict[str, Any] = {
        "question": question,
        "runs": runs,
        "most": MOST,
        "metrics": metrics,
        "sides": legend.sides_of(metrics),
        "rows": legend.rows_of(question, jobs, metrics),
        "axes": AXES.items(),
        "groupings": groupings(),
        "groups": legend.groups_of(jobs, question.grouping),
        "names": measured.names_of([job.pk for job in jobs[:LOOKED_AT]], MOST_NAMES),
        "others": mine.exclude(pk__in=question.numbers).select_related("machine")[:OFFERED],
        "has_answers": sum(job.job_kind.writes_answers for job in jobs) > 1,
        "query": query_of(request, "metric", "hide", "all", "at", "baseline"),
        "unbased": query_of(request, "baseline"),
        "ahead": urlencode({"metric": metrics[:AHEAD], "width": AHEAD_WIDTH}, doseq=True),
        "is_active": any(job.is_active for job in jobs),
        "events": legend.events_of(jobs),
    }
    if len(jobs) > AT_ONCE and not question.shows_all:
        return context | {"settings_follow": True}
    return context | settings_of(question, runs)


def query_of(request: HtmxHttpRequest, *left_out: str) -> str:
    """The address without some of it: the charts need not all that the page does."""
    query = request.GET.copy()
    for name in left_out:
        query.pop(name, None)
    return query.urlencode()


def groupings() -> list[tuple[str, str]]:
    fields = known_fields().values()
    knobs = [(field.name, field.label) for field in fields if field.is_knob]
    facts = [(name, name.capitalize()) for name in GROUPED_BY]
    return facts + sorted(knobs, key=lambda row: row[1])


def settings_of(question: Question, runs: Found) -> dict[str, Any]:
    rows = compare_jobs(runs.jobs) if len(runs.jobs) > 1 else []
    different = [row for row in rows if row.differs]
    return {
        "settings": rows if question.shows_all else different,
        "different": len(different),
        "equal": len(rows) - len(different),
        "heads": [(job, colour_of(job.pk), dash_of(job.pk)) for job in runs.jobs],
    }


@require_GET
def points_of_metrics(request: HtmxHttpRequest) -> HttpResponse:
    """``?job=…&metric=…&metric=…&x=…&width=…``: charts as JSON, each with its metric; nothing where
    they are as ``seen`` says."""
    question, form = question_of(request.GET), WindowForm(request.GET)
    if not form.is_valid():
        return answer(request, {"errors": form.errors.get_json_data()}, 422)
    jobs, given = found(question, request.user).jobs, form.cleaned_data
    stamp = stamp_of(jobs)
    if request.GET.get("seen") == stamp:
        return HttpResponse(status=204)
    window = Window(given["width"], given["low"], given["high"])
    axis, weight = axis_of(question.axis, jobs), question.smooth / 100
    charts = [
        {"metric": metric, **chart(jobs, metric, axis, window, weight, question.grouping)}
        for metric in question.metrics
    ]
    return answer(request, {"stamp": stamp, "charts": charts})


def stamp_of(jobs: Any) -> str:
    """Changes whenever any of the runs has other points."""
    position = sorted(points.position(jobs).items())
    return hashlib.sha256(repr(position).encode()).hexdigest()[:16]
