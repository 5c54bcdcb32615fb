"""The calculator, and every card beside the others. Their state is in the address."""

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST
from django.views.decorators.vary import vary_on_headers

from compute.sizing.config_file import LARGEST_FILE, ConfigError
from compute.sizing.gpus import catalogue
from jobs.calculator import cards
from jobs.calculator.carried import pack
from jobs.calculator.forms import CalculatorForm, models
from platform_site.bounded.calls import bounded
from platform_site.bounded.limits import TooMuch
from platform_site.fields import asked
from platform_site.htmx import HtmxHttpRequest

PAGE = 50
FILTERS = ("maker", "memory", "basis")
OWN = (*FILTERS, "sort", "page")  # of the comparison, and no settings of the job


@require_GET
@vary_on_headers("HX-Request")
def calculator(request: HtmxHttpRequest) -> HttpResponse:
    return shown(request, request.GET)


def shown(request: HtmxHttpRequest, given: QueryDict, refusal: str = "") -> HttpResponse:
    form = CalculatorForm(given, request.user)
    context = {
        "form": form,
        "ledger": form.ledger() if form.is_valid() else None,
        "models": models(),
        "state": state_of(given),
        "refusal": refusal,
    }
    part = ""
    if request.htmx:
        part = "#whole" if request.htmx.target == "calculator" else "#answer"
    status = 422 if refusal or form.errors else 200
    return render(request, "jobs/calculator/calculator.html" + part, context, status=status)


def state_of(given: QueryDict) -> str:
    """The settings of the job, as the address of another page."""
    state = given.copy()
    for name in OWN:
        state.pop(name, None)
    return state.urlencode()


@require_POST
def config(request: HtmxHttpRequest) -> HttpResponse:
    """Take in an uploaded config.json: it goes on as a part of the address."""
    given = QueryDict(request.POST.get("state", ""), mutable=True)
    upload = request.FILES.get("file")
    try:
        if upload is None:
            raise ConfigError("Choose a file first.")
        given["config"] = bounded(pack, upload.read(LARGEST_FILE + 1))
    except (ConfigError, TooMuch) as error:
        return shown(request, given, str(error))
    given["model"] = str(upload.name)[:200]
    return redirect(f"{reverse('calculator:page')}?{given.urlencode()}")


@require_GET
@vary_on_headers("HX-Request")
def compare(request: HtmxHttpRequest) -> HttpResponse:
    filters = {name: asked(request.GET.get(name)) for name in FILTERS}
    sort = request.GET.get("sort", "seconds")
    sort = sort if sort.removeprefix("-") in cards.SORTS else "seconds"
    form = CalculatorForm(request.GET, request.user)
    is_valid = form.is_valid()
    found, failed = cards.rows_of(form) if is_valid else ([], [])
    rows = cards.in_order(cards.filtered(found, filters), sort)
    context: dict[str, Any] = {
        "form": form,
        "state": state_of(request.GET),
        "kept": [(name, value) for name, value in request.GET.items() if name not in OWN],
        "page": Paginator(rows, PAGE).get_page(request.GET.get("page")),
        "fitting": len(found),
        "failed": failed,
        "all": len(catalogue()),
        "most": cards.COUNTS[-1],
        "filters": filters,
        "makers": sorted({gpu.maker for gpu in catalogue().values()}),
        "memories": cards.MEMORIES.items(),
        "bases": cards.BASES.items(),
        "sort": sort,
    }
    part = "#table" if request.htmx else ""
    status = 200 if is_valid else 422
    return render(request, "jobs/calculator/compare.html" + part, context, status=status)
