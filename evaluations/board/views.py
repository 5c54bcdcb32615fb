"""The list of evaluations, and the leaderboard."""

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from evaluations.board import leading, shown
from evaluations.kinds.evaluate import WAYS
from evaluations.models import Evaluation
from jobs.models import Status
from platform_site.fields import asked
from platform_site.htmx import HtmxHttpRequest

PAGE = 50
MOST_SETS = 200


@require_GET
@vary_on_headers("HX-Request")
def evaluation_list(request: HtmxHttpRequest) -> HttpResponse:
    filters = {name: asked(request.GET.get(name)) for name in shown.FILTERS}
    sort = shown.known_sort(asked(request.GET.get("sort")))
    found = shown.in_order(shown.filtered(shown.all_of(request.user), filters), sort)
    page = Paginator(found, PAGE).get_page(request.GET.get("page"))
    mine = Evaluation.objects.visible_to(request.user).exclude(set_name="").order_by("set_name")
    context = {
        "page": page,
        "rows": shown.rows(list(page.object_list)),
        "filters": filters,
        "is_filtered": any(filters.values()),
        "sort": sort,
        "ways": [(way, way) for way in WAYS],
        "statuses": Status.choices,
        "sets": [(name, name) for name in
                 mine.values_list("set_name", flat=True).distinct()[:MOST_SETS]],
    }  # fmt: skip
    part = "#table" if request.htmx else ""
    return render(request, f"evaluations/board/list.html{part}", context)


@require_GET
@vary_on_headers("HX-Request")
def board(request: HtmxHttpRequest) -> HttpResponse:
    """What was evaluated alike, best first."""
    groups = leading.groups_of(request.user)
    key = asked(request.GET.get("group"))
    group = next((each for each in groups if each.key == key), groups[0] if groups else None)
    context: dict[str, Any] = {
        "groups": [(each.key, f"{each.label} ({each.count})") for each in groups],
        "group": group,
    }
    if group:
        context |= of_group(request, group)
    part = "#table" if request.htmx else ""
    return render(request, f"evaluations/board/board.html{part}", context)


def of_group(request: HtmxHttpRequest, group: leading.Group) -> dict[str, Any]:
    found = leading.rows_of(group, request.user)
    columns = leading.columns_of(found)
    sort = asked(request.GET.get("sort"))
    if sort.removeprefix("-") not in ("name", *columns):
        sort = leading.by_default(columns, found)
    by = sort.removeprefix("-")
    name = by if by in columns else next(iter(columns), "")
    standing = leading.standings(found, name) if name else {}
    page = Paginator(leading.in_order(found, sort), PAGE).get_page(request.GET.get("page"))
    most = max(map(leading.counted, found), default=0)
    rows = [
        leading.Row(each, {figure.name: figure for figure in shown.figures(each)},
                    standing.get(each.pk, ""), leading.counted(each), leading.counted(each) < most)
        for each in page.object_list
    ]  # fmt: skip
    return {"page": page, "rows": rows, "columns": columns, "sort": sort, "by": name,
            "is_higher": leading.side_of(name, found),
            "fewer": sum(leading.counted(each) < most for each in found), "most": most,
            "evaluator": found[0].evaluator if found else {}}  # fmt: skip
