"""Pages of a user's own recipes: save from a job, rename, export, import, remove."""

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from jobs.models import Job, SavedRecipe
from jobs.recipebook import book, files
from jobs.recipebook.files import RecipeError
from jobs.recipebook.forms import ImportForm, RenameForm, SaveForm
from platform_site.htmx import HtmxHttpRequest


@require_POST
def recipe_save(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    job = get_object_or_404(Job.objects.visible_to(request.user), pk=pk)
    if not job.job_kind.has_recipes:
        raise Http404(f"{job.kind_label} has no recipes.")
    form = SaveForm(request.POST)
    if not form.is_valid():
        messages.error(request, form.first_error)
        return redirect(job)
    given = form.cleaned_data
    saved = book.save_recipe(request.user, job, given["title"], given["purpose"])
    told = f"Kept as the recipe {saved.slug}. It stands among yours under New job."
    messages.success(request, told)
    return redirect(job)


@require_POST
def recipe_rename(request: HtmxHttpRequest, slug: str) -> HttpResponse:
    saved = get_object_or_404(SavedRecipe, owner=request.user, slug=slug)
    form = RenameForm(request.POST)
    if form.is_valid():
        book.rename_recipe(saved, form.cleaned_data["title"])
        messages.success(request, f"Called {saved.title} now.")
    else:
        messages.error(request, form.first_error)
    return redirect(f"{reverse('jobs:new')}#{saved.slug}")


@require_POST
def recipe_import(request: HtmxHttpRequest) -> HttpResponse:
    form = ImportForm(request.POST, request.FILES)
    if not form.is_valid():
        messages.error(request, form.first_error)
        return redirect("jobs:new")
    try:
        saved = files.import_recipe(request.user, form.cleaned_data["text"])
    except RecipeError as error:
        messages.error(request, f"The recipe was not taken. {error}")
    else:
        messages.success(request, f"Kept as the recipe {saved.slug}.")
    return redirect("jobs:new")


@require_GET
def recipe_export(request: HtmxHttpRequest, slug: str) -> HttpResponse:
    recipe = book.find_recipe(slug, request.user)
    if recipe is None:
        raise Http404("There is no such recipe.")
    return HttpResponse(
        files.export_recipe(recipe),
        content_type="application/toml; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{slug}.toml"'},
    )


@require_http_methods(["GET", "POST"])
def recipe_delete(request: HtmxHttpRequest, slug: str) -> HttpResponse:
    saved = get_object_or_404(SavedRecipe, owner=request.user, slug=slug)
    if request.method == "GET":
        return render(request, "jobs/recipebook/delete.html", {"recipe": saved})
    book.delete_recipe(saved)
    messages.success(request, f"The recipe {slug} is gone. Jobs made from it stay.")
    return redirect("jobs:new")
