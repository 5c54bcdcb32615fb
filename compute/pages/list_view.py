"""The list of machines: what each has and is doing, and what stands idle and costs money."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from compute import glance
from compute.glance import Glance
from compute.machines.users import users
from compute.models import Machine
from compute.prices.table import total
from platform_site.fields import asked
from platform_site.htmx import HtmxHttpRequest

PAGE = 50
SORTS = ("name", "kind", "host", "slots", "runs", "seen_at")
# By what is worked out; a machine of which it is not known comes last.
WORKED_OUT: dict[str, Callable[[Glance], float | None]] = {
    "gpus": lambda one: None if one.gpus is None else len(one.gpus),
    "use": lambda one: one.use,
    "idle": lambda one: one.idle if one.gpus is not None else None,
    "price": lambda one: one.per_hour,
}
STATES = {
    "reachable": "Reachable",
    "unreachable": "Unreachable",
    "unconfirmed": "Host key not confirmed",
    "idle": "With idle GPUs",
    "removed": "Removed",
}


@dataclass(frozen=True)
class Sum:
    """All GPUs of the machines, each once: a group has those of its machines."""

    gpus: int
    with_job: int
    other: int
    idle: int
    unknown: int
    idle_cost: float | None
    per_hour: float | None
    unpriced: int  # machines with GPUs, or of unknown ones


@require_GET
@vary_on_headers("HX-Request")
def machine_list(request: HtmxHttpRequest) -> HttpResponse:
    filters = {name: asked(request.GET.get(name)) for name in ("state", "q")}
    sort = request.GET.get("sort", "name")
    if sort.removeprefix("-") not in (*SORTS, *WORKED_OUT):
        sort = "name"
    found = glance.glances_of(listed(filters, sort), request.user)
    if filters["state"] == "idle":
        found = [one for one in found if one.idle]
    context = {
        "page": Paginator(in_order(found, sort), PAGE).get_page(request.GET.get("page")),
        "sum": sum_of(found),
        "filters": filters,
        "sort": sort,
        "states": STATES.items(),
        "can_add": request.user.is_staff,
    }
    return render(request, "compute/pages/list.html" + ("#table" if request.htmx else ""), context)


def listed(filters: dict[str, str], sort: str) -> QuerySet[Machine]:
    found: Any = Machine.objects.filter(is_retired=filters["state"] == "removed")
    found = found.annotate(runs=users().count()).defer("checks")
    if filters["state"] == "unconfirmed":
        found = found.filter(kind=Machine.Kind.SSH, host_key="")
    if filters["state"] == "unreachable":
        found = found.exclude(unreachable_since=None)
    if filters["state"] == "reachable":
        found = found.ready().filter(unreachable_since=None)
    if filters["q"]:
        found = found.filter(name__icontains=filters["q"])
    column = sort if sort.removeprefix("-") in SORTS else "name"
    return glance.with_load(found).order_by(column, "name")


def in_order(found: list[Glance], sort: str) -> Sequence[Glance]:
    by = WORKED_OUT.get(sort.removeprefix("-"))
    if by is None:
        return found
    known = [(value, one) for one in found if (value := by(one)) is not None]
    known.sort(key=lambda pair: pair[0], reverse=sort.startswith("-"))
    return [one for _, one in known] + [one for one in found if by(one) is None]


def sum_of(found: list[Glance]) -> Sum:
    single = [one for one in found if not one.machine.is_group]
    having = [one for one in single if one.gpus is None or one.gpus]
    counts = [one.counts for one in single]
    idle = [one.idle_cost for one in single if one.idle]
    prices = [one.per_hour for one in having if one.per_hour is not None]
    return Sum(
        gpus=sum(len(one.gpus or ()) for one in single),
        with_job=sum(count["job"] for count in counts),
        other=sum(count["other"] for count in counts),
        idle=sum(count["idle"] for count in counts),
        unknown=sum(count["unknown"] for count in counts),
        idle_cost=total(idle) if idle else None,
        per_hour=sum(prices) if prices else None,
        unpriced=len(having) - len(prices),
    )
