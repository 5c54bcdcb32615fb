from typing import Any

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from compute.sizing.gpus import catalogue
from jobs.accuracy import shown
from jobs.models import Outcome
from platform_site.fields import asked
from platform_site.htmx import HtmxHttpRequest

PAGE = 50


@require_GET
@vary_on_headers("HX-Request")
def accuracy(request: HtmxHttpRequest) -> HttpResponse:
    """How good the estimates of finished runs were: those that the user may see."""
    filters = {name: asked(request.GET.get(name)) for name in shown.FILTERS}
    sort = shown.known_sort(asked(request.GET.get("sort")))
    mine = Outcome.objects.visible_to(request.user)
    found = shown.chosen(mine, filters)
    rows = shown.ordered(found, sort).select_related("job")
    context: dict[str, Any] = {
        "page": Paginator(rows, PAGE).get_page(request.GET.get("page")),
        "summary": shown.summary_of(found),
        "choices": [
            (name, label, filters[name], values_of(mine, name))
            for name, label in (("gpu", "card"), ("family", "model"), ("algorithm", "algorithm"))
        ],
        "cards": {slug: gpu.name for slug, gpu in catalogue().items()},
        "is_filtered": any(filters.values()),
        "sort": sort,
    }
    part = "#table" if request.htmx else ""
    return render(request, f"jobs/accuracy/accuracy.html{part}", context)


def values_of(outcomes: Any, name: str) -> list[str]:
    return list(outcomes.order_by(name).values_list(name, flat=True).distinct())
