from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST
from django.views.decorators.vary import vary_on_headers

from compute.checks import checking
from compute.ending import endings_of, seconds_left
from compute.machines.devices import devices_of, facts_of_nodes, is_cluster
from compute.machines.errors import MachineError
from compute.machines.groups import members_of
from compute.machines.load import load_of
from compute.machines.users import users
from compute.models import Machine, SetUp
from compute.pages import gpus
from compute.pages.forms import RentalForm
from compute.setup import settingup
from platform_site.htmx import HtmxHttpRequest


@require_GET
@vary_on_headers("HX-Request")
def machine_detail(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    machine = get_object_or_404(Machine.objects.select_related("confirmed_by"), pk=pk)
    part = "#contents" if request.htmx else ""
    if request.htmx and request.htmx.target in gpus.TARGETS:
        return render(
            request, gpus.TEMPLATE, {"machine": machine} | gpus.context_of(machine, request)
        )
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
        "endings": endings_of(machine, request.user),
        "left": seconds_left(machine),
        **gpus.context_of(machine, request),
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
