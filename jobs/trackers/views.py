"""Pages of a user's accounts at trackers. A value that was set is never shown to anyone."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_GET, require_POST

from jobs.trackers import accounts
from jobs.trackers.forms import AccountForm
from jobs.verl.trackers import TRACKERS, Tracker
from platform_site.htmx import HtmxHttpRequest


@require_GET
def tracker_list(request: HtmxHttpRequest) -> HttpResponse:
    return render(request, "jobs/trackers/trackers.html", shown(request))


@sensitive_post_parameters()
@sensitive_variables()
@require_POST
def tracker_set(request: HtmxHttpRequest, name: str) -> HttpResponse:
    tracker = find(name)
    form = AccountForm(tracker, request.POST)
    if not form.is_valid():
        return render(request, "jobs/trackers/trackers.html", shown(request, form), status=422)
    accounts.keep(request.user, tracker, form.cleaned_data)
    if form.cleaned_data:
        messages.success(request, f"{tracker.label}: {', '.join(form.cleaned_data)} kept.")
    return redirect("jobs:trackers")


@require_POST
def tracker_remove(request: HtmxHttpRequest, name: str, variable: str) -> HttpResponse:
    tracker = find(name)
    if accounts.remove(request.user, tracker, variable):
        messages.success(request, f"{tracker.label}: {variable} removed.")
    return redirect("jobs:trackers")


def shown(request: HtmxHttpRequest, sent: AccountForm | None = None) -> dict[str, Any]:
    rows = accounts.overview(request.user)
    for account in rows:
        is_sent = sent is not None and sent.tracker == account["tracker"]
        form = sent if is_sent and sent else AccountForm(account["tracker"])
        account["form"] = form
        account["fields"] = [
            (form[variable.name], variable, set_at) for variable, set_at in account["variables"]
        ]
    return {"accounts": rows}


def find(name: str) -> Tracker:
    if name not in TRACKERS:
        raise Http404("There is no such tracker.")
    return TRACKERS[name]
