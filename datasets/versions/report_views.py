"""Pages of a version's check: the report, starting a check, and cleaning by its faults."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST
from django.views.decorators.vary import vary_on_headers

from datasets import services
from datasets.formats.check import CODES
from datasets.models import Report, Version
from datasets.services import DatasetError
from datasets.versions.forms import CheckForm
from datasets.versions.views import opened, sample_models
from datasets.views import changeable
from platform_site.fields import asked_key
from platform_site.htmx import HtmxHttpRequest


@require_GET
@vary_on_headers("HX-Request")
def report(request: HtmxHttpRequest, pk: int, number: int) -> HttpResponse:
    version, context = opened(request, pk, number, "version_report")
    reports = list(version.reports.all()[:20])
    asked = request.GET.get("report", "")
    shown = next((one for one in reports if str(one.pk) == asked), next(iter(reports), None))
    context |= {
        "reports": reports,
        "report": shown,
        "form": CheckForm(request.user),
        "models": sample_models(),
    }
    if shown:
        context["faults"] = faults_of(shown)
    part = "#report" if request.htmx else ""
    return render(request, "datasets/versions/report.html" + part, context)


def faults_of(report: Report) -> list[dict[str, Any]]:
    """Faults that the check found, in words, the most frequent first."""
    found = report.data.get("faults", {})
    rows = [
        {"code": code, "label": CODES[code].label, "advice": CODES[code].advice, **fault}
        for code, fault in found.items()
        if code in CODES
    ]
    return sorted(rows, key=lambda row: -int(row["count"]))


@require_POST
def check(request: HtmxHttpRequest, pk: int, number: int) -> HttpResponse:
    version = get_object_or_404(Version, dataset=changeable(request, pk), number=number)
    form = CheckForm(request.user, request.POST)
    if not form.is_valid():
        _, context = opened(request, pk, number, "version_report")
        context |= {"form": form, "models": sample_models(), "reports": []}
        return render(request, "datasets/versions/report.html", context, status=422)
    given = form.cleaned_data
    try:
        services.check(version, given["model"], given["max_length"], request.user)
    except DatasetError as error:
        messages.error(request, str(error))
    return redirect("datasets:version_report", pk, number)


@require_POST
def clean(request: HtmxHttpRequest, pk: int, number: int) -> HttpResponse:
    version = get_object_or_404(Version, dataset=changeable(request, pk), number=number)
    key = asked_key(request.POST.get("report", ""))
    report = version.reports.filter(pk=key).first() if key is not None else None
    codes = [code for code in request.POST.getlist("code") if code in CODES]
    asked = (report.model, report.max_length) if report else ("", None)
    try:
        made = services.clean(version, codes, request.user, *asked)
    except DatasetError as error:
        messages.error(request, str(error))
        return redirect("datasets:version_report", pk, number)
    return redirect(made)


@require_POST
def report_retry(request: HtmxHttpRequest, pk: int, number: int, report: int) -> HttpResponse:
    dataset = changeable(request, pk)
    found = get_object_or_404(Report, pk=report, version__dataset=dataset, version__number=number)
    try:
        services.retry(found, request.user)
    except DatasetError as error:
        messages.error(request, str(error))
    return redirect("datasets:version_report", pk, number)
