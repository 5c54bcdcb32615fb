from typing import Any

from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from evaluations.comparing.asking import named
from evaluations.comparing.comparison import (
    ONLY,
    SORTS,
    Asked,
    Beside,
    Comparison,
    NotComparable,
    compare,
    places_of,
    rows_at,
)
from evaluations.kinds.evaluate import ANSWERS
from jobs.models import Job
from platform_site.fields import asked, asked_key
from platform_site.htmx import HtmxHttpRequest

PAGE = 25


@require_GET
@vary_on_headers("HX-Request")
def compare_page(request: HtmxHttpRequest) -> HttpResponse:
    """``?id=1&id=2``: the first is what the others are compared with; ``other=`` is the one whose
    prompts are listed."""
    keys = [asked_key(text) for text in request.GET.getlist("id")]
    if not keys or None in keys:
        raise Http404("Name evaluations by the numbers of their jobs.")
    numbers = [key for key in keys if key is not None]
    context: dict[str, Any] = {"numbers": numbers}
    try:
        found = compare(named(numbers, request.user))
    except Job.DoesNotExist as error:
        raise Http404(str(error)) from error
    except NotComparable as error:
        context["refused"] = str(error)
        return render(request, "evaluations/comparing/page.html", context, status=422)
    first = {one: [one, *(other for other in numbers if other != one)] for one in numbers}
    context |= {"comparison": found, "first": first} | _prompts(request, found)
    part = "#table" if request.htmx else ""
    return render(request, f"evaluations/comparing/page.html{part}", context)


def _prompts(request: HtmxHttpRequest, found: Comparison) -> dict[str, Any]:
    """The prompts of one of the pairs, found, sorted and cut to a page."""
    beside = _beside(request, found)
    sort = asked(request.GET.get("sort"))
    sort = sort if sort.removeprefix("-") in SORTS else "-size"
    only = request.GET.get("only", "")
    only = only if only in ONLY else ""
    words = asked(request.GET.get("q"))
    places = places_of(beside.paired, Asked(only, words, sort))
    page = Paginator(places, PAGE).get_page(request.GET.get("page"))
    here, there = page.start_index() - 1, page.end_index()
    return {
        "beside": beside,
        "page": page,
        "rows": rows_at(beside.paired, places[max(0, here) : there]),
        "sort": sort,
        "only": only,
        "q": words,
        "onlys": ONLY.items(),
        "has_texts": bool(beside.paired.first.texts),
        "has_answers": found.first.way == ANSWERS,
    }


def _beside(request: HtmxHttpRequest, found: Comparison) -> Beside:
    number = asked_key(request.GET.get("other", ""))
    return next((each for each in found.others if each.second.job_id == number), found.others[0])
