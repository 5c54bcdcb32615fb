"""The list of chains, the form that starts one, and how one stands."""

import uuid as uuids
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from evaluations.chains import services
from evaluations.chains.drawing import graph_of
from evaluations.chains.estimating import expected, total
from evaluations.chains.forms import StartForm
from evaluations.chains.models import Chain, ChainRecipe
from evaluations.chains.story import story_of
from evaluations.steps.ready import ready_chains
from platform_site.drawing import HIGH, WIDE
from platform_site.fields import asked, asked_key
from platform_site.htmx import HtmxHttpRequest

PAGE = 50
NEWEST = "-created_at"
SORTS = ("name", "state", "created_at")
SIZES = {"wide": WIDE, "high": HIGH}


@require_GET
@vary_on_headers("HX-Request")
def chain_list(request: HtmxHttpRequest) -> HttpResponse:
    filters = {name: asked(request.GET.get(name)) for name in ("state", "q")}
    sort = request.GET.get("sort", NEWEST)
    sort = sort if sort.removeprefix("-") in SORTS else NEWEST
    chains = Chain.objects.visible_to(request.user)
    if filters["state"] in Chain.State.values:
        chains = chains.filter(state=filters["state"])
    if filters["q"]:
        chains = chains.filter(name__icontains=filters["q"])
    rows = chains.select_related("owner", "machine").order_by(sort, "-pk")
    context = {
        "page": Paginator(rows, PAGE).get_page(request.GET.get("page")),
        "filters": filters,
        "sort": sort,
        "states": Chain.State.choices,
    }
    template = "evaluations/chains/list.html" + ("#table" if request.htmx else "")
    return render(request, template, context)


@require_http_methods(["GET", "POST"])
def chain_new(request: HtmxHttpRequest) -> HttpResponse:
    """The form of a chain. ``?from=`` fills it: the name of one that comes with Trainyard,
    ``recipe-N`` or ``chain-N``."""
    if request.method == "GET":
        source = request.GET.get("from", "")
        initial = {"uuid": uuids.uuid4(), **_begun(request, source)}
        return _shown(request, StartForm(request.user, initial=initial))
    form = StartForm(request.user, request.POST)
    if not form.is_valid():
        return _shown(request, form, status=422)
    given = form.cleaned_data
    try:
        found = services.checked(given["text"], request.user, given["machine"])
        if request.POST.get("action") == "check" or found.problems:
            for problem in found.problems:
                form.add_error("text", str(problem))
            rows = expected(found)
            more = {"checked": found, "rows": rows, "total": total(rows)}
            return _shown(request, form, 422 if found.problems else 200, **more)
        made = services.start(
            given["text"], request.user, machine=given["machine"], name=given["name"],
            uuid=given["uuid"], kept=form.recipe,
        )  # fmt: skip
    except services.NotStarted as error:
        form.renew()
        form.add_error(None, str(error))
        return _shown(request, form, status=422)
    return redirect(made)


def _begun(request: HtmxHttpRequest, source: str) -> dict[str, Any]:
    """What the form begins with. What is not there, or somebody else's, is not found."""
    if not source:
        return {}
    if (ready := ready_chains().get(source)) is not None:
        return {"text": ready.text}
    what, _, key = source.partition("-")
    pk = asked_key(key)
    if pk is None or what not in ("recipe", "chain"):
        raise Http404("There is no such chain to begin with.")
    row: Chain | ChainRecipe = (
        get_object_or_404(Chain.objects.visible_to(request.user), pk=pk)
        if what == "chain"
        else get_object_or_404(ChainRecipe.objects.visible_to(request.user), pk=pk)
    )
    kept = row.pk if isinstance(row, ChainRecipe) else row.kept_id
    return {"text": row.text, "name": row.name, "machine": row.machine_id, "kept": kept}


def _shown(
    request: HtmxHttpRequest, form: StartForm, status: int = 200, **more: Any
) -> HttpResponse:
    context = {"form": form, "ready": ready_chains().values(), "sizes": SIZES, **more}
    if "checked" in more:
        context["graph"] = graph_of(more["checked"].recipe)
    own = ChainRecipe.objects.filter(owner=request.user)
    context["own"] = own[:PAGE]
    return render(request, "evaluations/chains/new.html", context, status=status)


@require_GET
@vary_on_headers("HX-Request")
def chain_detail(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    chain = _get(request, pk)
    story = story_of(chain)
    costs = [step.cost for step in story if step.cost is not None]
    context = {
        "chain": chain,
        "story": story,
        "graph": graph_of(chain.recipe, story),
        "sizes": SIZES,
        "cost": sum(costs) if costs else None,
        "underway": services.jobs_underway(chain),
    }
    template = "evaluations/chains/detail.html" + ("#state" if request.htmx else "")
    return render(request, template, context)


@require_POST
def chain_verb(request: HtmxHttpRequest, pk: int, verb: str) -> HttpResponse:
    """Stop or resume a chain."""
    chain = _get(request, pk)
    who = request.user.get_username()
    if verb not in ("stop", "resume"):
        raise Http404("A chain is stopped or resumed.")
    try:
        done = (services.stop if verb == "stop" else services.resume)(chain, who=who)
    except services.NotStarted as error:
        messages.error(request, str(error))
        return redirect(chain)
    said = {"stop": "is stopped", "resume": "goes on"}[verb]
    if done:
        messages.success(request, f"{chain.name} {said}.")
    else:
        messages.error(request, f"{chain.name} is {chain.get_state_display().lower()}.")
    return redirect(chain)


def _get(request: HtmxHttpRequest, pk: int) -> Chain:
    rows = Chain.objects.visible_to(request.user).select_related("owner", "machine", "kept")
    return get_object_or_404(rows, pk=pk)
