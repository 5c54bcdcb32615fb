from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import OuterRef, Prefetch, QuerySet, Subquery
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST
from django.views.decorators.vary import vary_on_headers

from compute.checks import checking
from compute.machines.devices import devices_of, devices_with, facts_of_nodes, is_cluster
from compute.machines.errors import MachineError
from compute.machines.groups import members_of
from compute.machines.load import load_of
from compute.machines.users import users
from compute.models import Machine, MachineSample, SetUp
from compute.pages.forms import RentalForm
from compute.setup import settingup
from compute.sizing.devices import Devices, of_members
from platform_site.fields import asked
from platform_site.htmx import HtmxHttpRequest

PAGE = 50
SORTS = ("name", "kind", "host", "slots", "runs", "seen_at")
STATES = {
    "reachable": "Reachable",
    "unreachable": "Unreachable",
    "unconfirmed": "Host key not confirmed",
    "removed": "Removed",
}


@require_GET
@vary_on_headers("HX-Request")
def machine_list(request: HtmxHttpRequest) -> HttpResponse:
    filters = {name: asked(request.GET.get(name)) for name in ("state", "q")}
    sort = request.GET.get("sort", "name")
    if sort.removeprefix("-") not in SORTS:
        sort = "name"
    page = Paginator(listed(filters, sort), PAGE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "rows": [(machine, listed_devices(machine)) for machine in page.object_list],
        "filters": filters,
        "sort": sort,
        "states": STATES.items(),
        "can_add": request.user.is_staff,
    }
    return render(request, "compute/pages/list.html" + ("#table" if request.htmx else ""), context)


def listed(filters: dict[str, str], sort: str) -> QuerySet[Machine]:
    found: Any = with_load(Machine.objects.filter(is_retired=filters["state"] == "removed"))
    found = found.annotate(runs=users().count())
    if filters["state"] == "unconfirmed":
        found = found.filter(kind=Machine.Kind.SSH, host_key="")
    if filters["state"] == "unreachable":
        found = found.exclude(unreachable_since=None)
    if filters["state"] == "reachable":
        found = found.ready().filter(unreachable_since=None)
    if filters["q"]:
        found = found.filter(name__icontains=filters["q"])
    members = Prefetch("memberships__machine", with_load(Machine.objects.all()))
    ordered: QuerySet[Machine] = found.prefetch_related(members).order_by(sort, "name")
    return ordered


def with_load(machines: QuerySet[Machine]) -> QuerySet[Machine]:
    """Machines, each with the newest sample of its load and the time of that."""
    newest = MachineSample.objects.filter(machine=OuterRef("pk")).order_by("-at")
    return machines.annotate(
        load=Subquery(newest.values("data")[:1]), measured_at=Subquery(newest.values("at")[:1])
    )


def listed_devices(machine: Any) -> Devices | None:
    """The devices of a machine of the list, which has its load in hand."""
    if machine.is_group:
        members = [each.machine for each in machine.memberships.all()]
        return of_members([(member.name, listed_devices(member)) for member in members])
    return devices_with(machine, machine.load, machine.measured_at)


@require_GET
@vary_on_headers("HX-Request")
def machine_detail(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    machine = get_object_or_404(Machine.objects.select_related("confirmed_by"), pk=pk)
    part = "#contents" if request.htmx else ""
    return render(request, "compute/pages/detail.html" + part, contents(machine, request))


def contents(machine: Machine, request: HtmxHttpRequest) -> dict[str, Any]:
    set_up = SetUp.objects.filter(machine=machine).first()
    outcomes = [check["outcome"] for check in machine.checks]
    return {
        "machine": machine,
        "entry": load_of(machine),
        "devices": devices_of(machine),
        "parts": known(machine),
        "checks": machine.checks,
        "is_old": is_older(machine.checked_at, machine.unreachable_since),
        "failed": outcomes.count("fail"),
        "unknown": outcomes.count("unknown"),
        "set_up": set_up,
        "why_not": settingup.why_not(machine),
        "nodes": facts_of_nodes(machine) if is_cluster(machine) else [],
        "members": members_of(machine) if machine.is_group else [],
        "by_hand": checking.by_hand(machine) if machine.kind == machine.Kind.SSH else "",
        "secrets": list(machine.secrets.defer("value")),
        "used_by": users().template,
        "users": users().newest(machine, request.user),
        "is_busy": machine.is_being_checked or bool(set_up and set_up.is_busy),
        "can_change": request.user.is_staff and not machine.is_retired,
    } | rental_context(RentalForm(machine=machine))


def rental_context(form: RentalForm) -> dict[str, Any]:
    return {"rental": form, "rental_row": {"field": form["rental_ends_at"]}}


def is_older(checked_at: datetime | None, unreachable_since: datetime | None) -> bool:
    """Whether the checks are of a time when the machine still answered, and now it does not."""
    return bool(checked_at and unreachable_since and checked_at < unreachable_since)


def known(machine: Machine) -> dict[str, Any]:
    """The facts of the last check that reached the machine, by their part."""
    parts: dict[str, Any] = machine.facts.get("parts", {})
    return {name: part["data"] for name, part in parts.items() if "data" in part}


@require_POST
def machine_check(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    machine = changeable(request, pk)
    if not machine.is_confirmed:
        messages.error(request, "Confirm the machine's host key first.")
    elif not checking.ask_check(machine, who=request.user.get_username()):
        messages.info(request, "It is being checked.")
    return redirect(machine)


@require_POST
def machine_set_up(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    machine = changeable(request, pk)
    try:
        settingup.ask(machine, who=request.user.get_username())
    except MachineError as error:
        messages.error(request, str(error))
    return redirect(machine)


def changeable(request: HtmxHttpRequest, pk: int) -> Machine:
    """The machine, for staff: machines hold credentials and run code."""
    machine = get_object_or_404(Machine.objects.kept(), pk=pk)
    if not request.user.is_staff:
        raise PermissionDenied("Only staff may change machines.")
    return machine
