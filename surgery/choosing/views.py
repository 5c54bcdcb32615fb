"""The checkpoints of runs in a table, the choice among them, and deleting the rest."""

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods
from django.views.decorators.vary import vary_on_headers

from jobs.models import Job
from jobs.requests import asked_jobs, found_jobs, get_job
from platform_site.htmx import HtmxHttpRequest
from surgery.choice.candidate import Choice
from surgery.choice.criteria import ChoiceError
from surgery.choice.criterion import Criterion
from surgery.choice.flags import RULES
from surgery.choosing import tidying
from surgery.choosing.forms import CriterionForm, KeepForm
from surgery.choosing.table import FILTERS, Table, in_order, table_of

PAGE = 50
MOST_JOBS = 6
MOST_RUNNERS_UP = 5
NEWEST = "-step"


@require_GET
@vary_on_headers("HX-Request")
def of_jobs(request: HtmxHttpRequest) -> HttpResponse:
    """Of several jobs: ``?job=1&job=2``."""
    asked = asked_jobs(request)
    if not 0 < len(asked) <= MOST_JOBS:
        raise Http404(f"Name one to {MOST_JOBS} jobs.")
    mine = Job.objects.visible_to(request.user).select_related("machine", "owner")
    return _table(request, found_jobs(mine, asked))


@require_GET
@vary_on_headers("HX-Request")
def of_job(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    return _table(request, [get_job(request, pk)])


def _table(request: HtmxHttpRequest, jobs: list[Job]) -> HttpResponse:
    form = CriterionForm(request.GET if "by" in request.GET else None)
    criterion = form.criterion() if form.is_valid() else None
    table = table_of(jobs, criterion.metrics if criterion else (), request.user)
    choice, refused = _chosen(table, criterion)
    sort, only = request.GET.get("sort", NEWEST), request.GET.get("only", "")
    lines = [line for line in table.lines if only not in FILTERS or FILTERS[only][1](line)]
    ordered = in_order(lines, table.columns, sort)
    context = {
        "jobs": jobs,
        "job": jobs[0] if len(jobs) == 1 else None,
        "form": form,
        "table": table,
        "page": Paginator(ordered, PAGE).get_page(request.GET.get("page")),
        "choice": choice,
        "runners_up": choice.runners_up[:MOST_RUNNERS_UP] if choice else (),
        "refused": refused,
        "chosen": table.row_of(choice.chosen) if choice and choice.chosen else None,
        "sort": sort,
        "only": only,
        "filters": [(name, label) for name, (label, _) in FILTERS.items()],
        "rules": [flag for flag in RULES.items() if any(row.flags for row in table.rows)],
        "asked": request.GET.urlencode(),
    }
    status = 422 if form.errors or refused else 200
    part = "#table" if request.htmx and status == 200 else ""
    return render(request, "surgery/choosing/table.html" + part, context, status=status)


def _chosen(table: Table, criterion: Criterion | None) -> tuple[Choice | None, str]:
    """The choice, or why there is none."""
    if criterion is None:
        return None, ""
    try:
        return criterion.choose(table.candidates), ""
    except ChoiceError as error:
        return None, str(error)


@require_http_methods(["GET", "POST"])
def keep(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """What would stay and go; a POST deletes just that."""
    job = get_job(request, pk)
    given = request.POST if request.method == "POST" else request.GET
    form = KeepForm(given if "by" in given else None)
    if not form.is_valid():
        return _preview(request, job, form, {})
    criterion = form.criterion()
    table = table_of([job], criterion.metrics)
    choice, refused = _chosen(table, criterion)
    if choice is None:
        return _preview(request, job, form, {"refused": refused})
    planned = tidying.plan(table, choice, form.cleaned_data["best"])
    if request.method == "POST":
        try:
            who = request.user.get_username()
            told = tidying.carry_out(planned, request.POST.get("seen", ""), who=who)
        except tidying.Changed as error:
            refused = str(error)
        else:
            return _gone(request, job, len(planned.rest) - len(told), told)
    return _preview(request, job, form, {"plan": planned, "choice": choice, "refused": refused})


def _gone(request: HtmxHttpRequest, job: Job, count: int, refused: list[str]) -> HttpResponse:
    messages.success(request, f"Being deleted: {count} of {count + len(refused)}.")
    for sentence in refused:
        messages.error(request, sentence)
    return redirect("surgery:checkpoints_of", job.pk)


def _preview(
    request: HtmxHttpRequest, job: Job, form: KeepForm, more: dict[str, Any]
) -> HttpResponse:
    status = 422 if form.errors or more.get("refused") else 200
    context = {"job": job, "form": form, **more}
    return render(request, "surgery/choosing/keep.html", context, status=status)
