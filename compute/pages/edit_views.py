"""Adding, changing, confirming and removing machines: for staff only."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from compute.checks import checking
from compute.machines import groups, host_keys, verbs
from compute.machines.errors import MachineError
from compute.machines.host_keys import Offered
from compute.models import Machine
from compute.pages.forms import GroupForm, LocalForm, MachineForm, RentalForm
from compute.pages.ray_form import RayForm
from compute.pages.seen_form import SeenForm
from compute.pages.views import changeable, contents, rental_context
from compute.runners.base import RunnerError
from platform_site.htmx import HtmxHttpRequest

OWN = ("private_key", "key_path", "passphrase", "password")
JUMP = (
    "jump_host", "jump_port", "jump_user", "jump_private_key", "jump_passphrase", "jump_password",
)  # fmt: skip
RENTAL = ("Rental", "only where the machine is taken away at a time", ("rental_ends_at",))
GROUPS = (
    ("Where it is", "", ("name", "host", "port", "user")),
    ("How to log in", "a key, a password, or both", OWN),
    ("What runs there", "", ("workdir", "verl", "python", "slots")),
    RENTAL,
    ("Jump host", "only where the machine is behind one", JUMP),
)
OF_RAY = (
    ("Where it is", "", ("name", "ray_address", "password")),
    ("What runs there", "", ("workdir", "verl", "python", "slots")),
    RENTAL,
)
LOCAL = (("What runs there", "", ("slots",)), RENTAL)
FOLDED = {"Rental", "Jump host"}
Part: TypeAlias = tuple[str, str, tuple[str, ...]]
# Changing these fields does not make the last check out of date.
OF_NO_CHECK = {"name", "slots", "rental_ends_at"}


@sensitive_post_parameters()
@sensitive_variables()
@require_http_methods(["GET", "POST"])
def machine_new(
    request: HtmxHttpRequest, kind: type[MachineForm] | type[RayForm] = MachineForm
) -> HttpResponse:
    """Add a machine that is reached by SSH, or a Ray cluster that is running."""
    if not request.user.is_staff:
        raise PermissionDenied("Only staff may add machines.")
    form = kind(request.POST if request.method == "POST" else None)
    who = request.user.get_username()
    if request.method == "POST" and form.is_valid():
        machine = verbs.add(form.values, form.secrets, who=who)
        if machine.is_confirmed:
            checking.ask_check(machine, who=who)
            messages.success(request, f"{machine} is kept. It is being checked.")
        else:
            text = f"{machine} is kept. Confirm its host key, and it can be used."
            messages.success(request, text)
        return onward(machine)
    return render(
        request, "compute/pages/form.html", shown(form), status=422 if form.errors else 200
    )


@sensitive_post_parameters()
@sensitive_variables()
@require_http_methods(["GET", "POST"])
def machine_edit(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    machine = changeable(request, pk)
    if machine.is_group:
        messages.info(request, "What can be changed is on the pages of its machines.")
        return redirect(machine)
    if machine.is_local:
        return edit_local(request, machine)
    kind = RayForm if machine.is_ray else MachineForm
    form = kind(request.POST if request.method == "POST" else None, machine=machine)
    if request.method == "POST" and form.is_valid():
        try:
            who = request.user.get_username()
            verbs.change(machine, form.values, form.secrets, form.forget, who=who)
        except MachineError as error:
            form.add_error(error.field, str(error))
        else:
            touched = form.secrets or form.forget or set(form.values) - OF_NO_CHECK
            if touched and machine.is_confirmed:
                checking.ask_check(machine, who=who)
                messages.success(request, f"{machine} is changed. It is being checked.")
            else:
                messages.success(request, f"{machine} is changed.")
            return onward(machine)
    return render(
        request,
        "compute/pages/form.html",
        shown(form, machine),
        status=422 if form.errors else 200,
    )


@require_http_methods(["GET", "POST"])
def machine_join(request: HtmxHttpRequest) -> HttpResponse:
    """Join several SSH machines, which then train one run together."""
    if not request.user.is_staff:
        raise PermissionDenied("Only staff may add machines.")
    form = GroupForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        machine = groups.join(form.cleaned_data["name"], form.read, who=request.user.get_username())
        messages.success(request, f"{machine} is kept. It is being checked.")
        checking.ask_check(machine, who=request.user.get_username())
        return redirect(machine)
    status = 422 if form.errors else 200
    return render(request, "compute/pages/join.html", {"form": form}, status=status)


def onward(machine: Machine) -> HttpResponse:
    """Go to the page of the machine, or of its host key while that is not confirmed."""
    return redirect(machine) if machine.is_confirmed else redirect("compute:key", machine.pk)


def edit_local(request: HtmxHttpRequest, machine: Machine) -> HttpResponse:
    given = {name: getattr(machine, name) for name in LocalForm.compared}
    data = request.POST if request.method == "POST" else None
    form = LocalForm(data, machine=machine, initial=given)
    if request.method == "POST" and form.is_valid():
        verbs.change(machine, form.values, {}, who=request.user.get_username())
        return redirect(machine)
    groups = shown_groups(form, LOCAL, lambda name: {"field": form[name]})
    context = {"form": form, "machine": machine, "groups": groups}
    return render(request, "compute/pages/form.html", context, status=422 if form.errors else 200)


def shown(form: MachineForm | RayForm, machine: Machine | None = None) -> dict[str, Any]:
    is_ray = isinstance(form, RayForm)
    parts = OF_RAY if is_ray else GROUPS
    groups = shown_groups(form, parts, lambda name: row(form, name))
    return {"form": form, "machine": machine, "groups": groups, "is_ray": is_ray}


def shown_groups(
    form: SeenForm, parts: Sequence[Part], row_of: Callable[[str], dict[str, Any]]
) -> list[dict[str, Any]]:
    """The groups of a form. Those that few machines need are folded, unless one holds something."""
    return [
        {
            "title": title,
            "note": note,
            "rows": [row_of(name) for name in names],
            "folds": title in FOLDED,
            "opened": bool(form[names[0]].value()) or any(name in form.errors for name in names),
        }
        for title, note, names in parts
    ]


def row(form: MachineForm | RayForm, name: str) -> dict[str, Any]:
    """A field, when its secret was set, and the box that removes it."""
    secret = form.kept.get(name)
    return {
        "field": form[name],
        "set_at": secret.set_at if secret else None,
        "forget": form[f"forget_{name}"] if secret else None,
        "is_secret": name in verbs.SECRET_NAMES,
    }


@require_http_methods(["GET", "POST"])
def machine_key(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """The host's key as it is now, to be compared by eye and confirmed."""
    machine = changeable(request, pk)
    if machine.kind != machine.Kind.SSH:
        return redirect(machine)
    problem = confirmed(request, machine) if request.method == "POST" else ""
    if problem is None:
        return onward(machine)
    offered: Offered | None = None
    try:
        offered = host_keys.offered(machine)
    except RunnerError as error:
        problem = problem or str(error)
    context = {
        "machine": machine,
        "offered": offered,
        "problem": problem,
        "by_hand": checking.by_hand(machine),
    }
    return render(request, "compute/pages/key.html", context, status=422 if request.POST else 200)


def confirmed(request: HtmxHttpRequest, machine: Machine) -> str | None:
    """Confirm what was posted; why not, or None when it is done."""
    try:
        found = host_keys.confirm(machine, request.POST.get("fingerprint", ""), request.user)
    except (MachineError, RunnerError) as error:
        return str(error)
    messages.success(request, f"The key of {found.host} is confirmed.")
    if machine.is_confirmed:
        checking.ask_check(machine, who=request.user.get_username())
    return None


@require_http_methods(["GET", "POST"])
def machine_remove(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    machine = changeable(request, pk)
    if request.method == "POST":
        name = machine.name
        try:
            stays = verbs.remove(machine, who=request.user.get_username())
        except MachineError as error:
            messages.error(request, str(error))
            return redirect(machine)
        kept = " Its jobs keep their history." if stays else ""
        messages.success(request, f"{name} is removed, with its secrets.{kept}")
        return redirect("compute:list")
    context = {"machine": machine, "in_the_way": verbs.in_the_way(machine)}
    return render(request, "compute/pages/remove.html", context)


@require_POST
def machine_rental(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Keep when the machine's rental ends, or that it has no end."""
    machine = changeable(request, pk)
    if machine.is_group:
        raise Http404("Machines together have the rentals of each.")
    data = QueryDict(mutable=True) if request.POST.get("none") else request.POST
    form = RentalForm(data, machine=machine)
    if not form.is_valid():
        context = contents(machine, request) | rental_context(form)
        return render(request, "compute/pages/detail.html", context, status=422)
    verbs.change(machine, form.values, {}, who=request.user.get_username())
    return redirect(machine)
