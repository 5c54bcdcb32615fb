"""Recipes of one's own: kept from a job, copied, handed on, removed."""

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from jobs import recipe_files, recipebook
from jobs.forms import JobForm, initial, limits_of
from jobs.models import Job, SavedRecipe
from jobs.preview import Preview
from jobs.recipe_files import RecipeError
from jobs.recipe_forms import ImportForm, SaveForm
from platform_site.htmx import HtmxHttpRequest


@require_GET
def job_clone(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """The form of a new job, filled with another's values. It is sent as every new job is."""
    job = get_object_or_404(Job.objects.visible_to(request.user), pk=pk)
    base, filled = recipebook.cloned_from(job, request.user)
    form = JobForm(base, request.user)
    form.initial = initial(filled) | {"machine": job.machine_id, **limits_of(job)}
    if gone := recipebook.known_part(job.train_spec)[1]:
        messages.warning(request, f"Left out, since there is no such setting any more: {gone}.")
    trial = JobForm(base, request.user, form.initial)
    context = {"form": form, "cloned": job, **Preview(trial).context}
    return render(request, "jobs/form.html", context)


@require_POST
def recipe_save(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    job = get_object_or_404(Job.objects.visible_to(request.user), pk=pk)
    form = SaveForm(request.POST)
    if not form.is_valid():
        messages.error(request, form.first_error)
        return redirect(job)
    given = form.cleaned_data
    saved = recipebook.save_recipe(request.user, job, given["title"], given["purpose"])
    messages.success(request, f"Kept as the recipe {saved.slug}.")
    return redirect("jobs:new")


@require_POST
def recipe_import(request: HtmxHttpRequest) -> HttpResponse:
    form = ImportForm(request.POST, request.FILES)
    if not form.is_valid():
        messages.error(request, form.first_error)
        return redirect("jobs:new")
    try:
        saved = recipe_files.import_recipe(request.user, form.cleaned_data["text"])
    except RecipeError as error:
        messages.error(request, f"The recipe was not taken. {error}")
    else:
        messages.success(request, f"Kept as the recipe {saved.slug}.")
    return redirect("jobs:new")


@require_GET
def recipe_export(request: HtmxHttpRequest, slug: str) -> HttpResponse:
    recipe = recipebook.find_recipe(slug, request.user)
    if recipe is None:
        raise Http404("There is no such recipe.")
    return HttpResponse(
        recipe_files.export_recipe(recipe),
        content_type="application/toml; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{slug}.toml"'},
    )


@require_http_methods(["GET", "POST"])
def recipe_delete(request: HtmxHttpRequest, slug: str) -> HttpResponse:
    saved = get_object_or_404(SavedRecipe, owner=request.user, slug=slug)
    if request.method == "GET":
        return render(request, "jobs/recipe_delete.html", {"recipe": saved})
    recipebook.delete_recipe(saved)
    messages.success(request, f"The recipe {slug} is gone. Jobs made from it stay.")
    return redirect("jobs:new")
