"""The form of a sweep, the list of sweeps, and what came of one."""

import uuid as uuids
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from jobs.launch.submit import NotSubmitted
from platform_site.counts import counted
from platform_site.htmx import HtmxHttpRequest
from surgery.compose import scoring, sweeping
from surgery.compose.forms import ScoreForm, SweepForm
from surgery.compose.models import Sweep
from surgery.kinds.merge import MergeSpec
from surgery.making.trying import in_words, look
from surgery.recipes.recipe import RecipeError
from surgery.recipes.sweep import RangeError

PAGE = 50


@require_GET
def sweep_list(request: HtmxHttpRequest) -> HttpResponse:
    mine = Sweep.objects.visible_to(request.user).select_related("owner")
    rows = mine.annotate(count=Count("merges")).order_by("-created_at", "-pk")
    page = Paginator(rows, PAGE).get_page(request.GET.get("page"))
    return render(request, "surgery/sweeps/list.html", {"page": page})


@require_http_methods(["GET", "POST"])
def sweep_new(request: HtmxHttpRequest) -> HttpResponse:
    if request.method == "GET":
        return _shown(request, SweepForm(request.user, initial={"uuid": uuids.uuid4()}))
    form = SweepForm(request.user, request.POST)
    if not form.is_valid():
        return _shown(request, form, status=422)
    given = form.cleaned_data
    asked = (given["recipe"], given["over"], given["machine"], request.user)
    try:
        if request.POST.get("action") == "check":
            planned = sweeping.plan(*asked)
            # All read the same models: one look is enough.
            seen = in_words(look(MergeSpec(planned[0].text), given["machine"]))
            values = [each.value for each in planned]
            return _shown(request, form, planned=planned, values=values, seen=seen)
        made = sweeping.sweep(*asked, name=given["name"], uuid=given["uuid"])
    except sweeping.Changed as error:
        form.renew()
        form.add_error(None, f"{error} Send it once more for another sweep.")
        return _shown(request, form, status=422)
    except RangeError as error:
        form.add_error("over", str(error))
        return _shown(request, form, status=422)
    except (RecipeError, NotSubmitted) as error:
        form.add_error("recipe", str(error))
        return _shown(request, form, status=422)
    return redirect(made)


def _shown(
    request: HtmxHttpRequest, form: SweepForm, status: int = 200, **more: Any
) -> HttpResponse:
    return render(request, "surgery/sweeps/new.html", {"form": form, **more}, status=status)


@require_http_methods(["GET", "POST"])
def sweep_detail(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """The merges of a sweep; a POST has their models scored by the run that it names."""
    made = get_object_or_404(Sweep.objects.visible_to(request.user), pk=pk)
    runs = scoring.judges(made, request.user)
    form = ScoreForm(runs, request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            jobs = scoring.score(made, form.judge, request.user)
        except NotSubmitted as error:
            form.add_error("run", str(error))
        else:
            messages.success(request, f"{counted(len(jobs), 'job')} queued.")
            return redirect(made)
    context = {"sweep": made, "results": sweeping.results(made), "form": form, "runs": runs}
    status = 422 if form.errors else 200
    return render(request, "surgery/sweeps/detail.html", context, status=status)
