"""Recipes of chains that users keep."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from evaluations.chains.forms import KeepForm
from evaluations.chains.models import Chain, ChainRecipe
from evaluations.steps.ready import ready_chains
from platform_site.htmx import HtmxHttpRequest

PAGE = 50


@require_http_methods(["GET", "POST"])
def recipe_list(request: HtmxHttpRequest) -> HttpResponse:
    """All that can be started. A POST keeps a new one."""
    form = KeepForm(request.user, request.POST or None, initial=_begun(request))
    if (
        request.method == "POST"
        and form.is_valid()
        and (kept := form.try_to_keep(timezone.now())) is not None
    ):
        messages.success(request, f"{kept.name} is kept.")
        return redirect(kept)
    mine = ChainRecipe.objects.visible_to(request.user).select_related("owner")
    context = {
        "page": Paginator(mine, PAGE).get_page(request.GET.get("page")),
        "ready": ready_chains().values(),
        "form": form,
    }
    status = 422 if form.errors else 200
    return render(request, "evaluations/chains/recipes.html", context, status=status)


def _begun(request: HtmxHttpRequest) -> dict[str, object]:
    ready = ready_chains().get(request.GET.get("from", ""))
    return {"text": ready.text, "name": ready.name} if ready else {}


@require_http_methods(["GET", "POST"])
def recipe_detail(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """One recipe, which a POST changes or deletes."""
    rows = ChainRecipe.objects.visible_to(request.user).select_related("machine", "owner")
    kept = get_object_or_404(rows, pk=pk)
    if request.method == "POST" and request.POST.get("action") == "delete":
        name = kept.name
        kept.delete()
        messages.success(request, f"{name} is deleted. Chains that it started stay.")
        return redirect("evaluations:chain_recipes")
    initial = {
        "text": kept.text, "name": kept.name, "machine": kept.machine_id, "every": kept.every,
    }  # fmt: skip
    form = KeepForm(request.user, request.POST or None, kept=kept, initial=initial)
    if request.method == "POST" and form.is_valid() and form.try_to_keep(timezone.now()):
        messages.success(request, f"{kept.name} is kept.")
        return redirect(kept)
    started = Chain.objects.filter(kept=kept)[:PAGE]
    context = {"kept": kept, "form": form, "started": started}
    status = 422 if form.errors else 200
    return render(request, "evaluations/chains/recipe.html", context, status=status)
