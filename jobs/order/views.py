"""Pages of a new job: choose a recipe, fill in the form beside its command, submit."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers
from django_htmx.http import HttpResponseClientRedirect

from jobs.fit.badge import fit_of, runs_on_gpus
from jobs.launch import submit
from jobs.launch.submit import NotChanged, NotSubmitted
from jobs.models import Job, Status
from jobs.order import on_data, on_model, shelf
from jobs.order.forms import JobForm, initial, limits_of
from jobs.order.preview import Preview
from jobs.queue import rental
from jobs.recipebook import book
from jobs.recipebook.book import find_recipe
from jobs.rehearsal.services import submit_rehearsed
from jobs.requests import get_job, warn_of_rental
from jobs.verl.recipes import Recipe
from platform_site.fields import asked
from platform_site.htmx import HtmxHttpRequest

MOST_OWN = 50  # recipes of a user on one page, the newest


@require_GET
@vary_on_headers("HX-Request")
def job_new(request: HtmxHttpRequest) -> HttpResponse:
    filters = {name: asked(request.GET.get(name)) for name in shelf.FILTERS}
    version = on_data.version_asked(request.GET.get("dataset", ""))
    model = on_model.model_asked(request.GET.get("model", ""), request.user)
    found = on_data.fitting(shelf.offers(request.user), version)
    shown = list(shelf.filtered(found, filters))
    left_out = [offer for offer in shown if offer.is_own][MOST_OWN:]
    context = {
        "filters": filters,
        "version": version,
        "model": model,
        "left_out": len(left_out),
        "kinds": list(shelf.KINDS.items()),
        "sizes": [(slug, label) for slug, (label, *_) in shelf.SIZES.items()],
        "whose": list(shelf.WHOSE.items()),
        "has_own": any(offer.is_own for offer in found),
        "sections": shelf.sections([offer for offer in shown if offer not in left_out]),
    }
    part = "#shelf" if request.htmx else ""
    return render(request, "jobs/order/new.html" + part, context)


@require_http_methods(["GET", "POST"])
def job_create(request: HtmxHttpRequest, slug: str) -> HttpResponse:
    recipe = get_recipe(request, slug)
    if request.method == "GET":
        form = JobForm(recipe, request.user)
        version = on_data.version_asked(request.GET.get("dataset", ""))
        if version and version.target == recipe.target:
            form.initial = {**form.initial, **on_data.values_of(version)}
        if model := on_model.model_asked(request.GET.get("model", ""), request.user):
            form.initial = {**form.initial, **on_model.values_of(model, recipe)}
        return render(request, "jobs/order/form.html", fresh(form))
    form = JobForm(recipe, request.user, request.POST, is_final=True)
    if not form.is_valid():
        return refused(request, form)
    try:
        job = _submitted(form, request.POST.get("action", ""))
    except NotChanged as error:
        form.add_error(None, f"{error} It is edited on its own page, which the list leads to.")
        return refused(request, form)
    except NotSubmitted as error:
        form.refuse(error)
        return refused(request, form)
    tell(request, form)
    if job.status != Status.DRAFT:
        warn_of_rental(request, rental.warning(job))
        warn_of_fit(request, job)
    # A redirect would be shown inside the form, so htmx is told to load the whole page.
    return HttpResponseClientRedirect(job.get_absolute_url()) if request.htmx else redirect(job)


def _submitted(form: JobForm, action: str) -> Job:
    if action == "rehearse":
        return submit_rehearsed(form.order())
    return submit.submit(form.order(), start=action == "start")


def warn_of_fit(request: HtmxHttpRequest, job: Job) -> None:
    """A job that starts though it does not fit, by the estimate."""
    spec = job.spec_of_kind
    if runs_on_gpus(spec) and (told := fit_of(spec, job.machine).warning):
        messages.warning(request, told)


def tell(request: HtmxHttpRequest, form: JobForm) -> None:
    """What a look at the data found, on the page of the job."""
    for told in form.told:
        messages.warning(request, f"{told.label}: {told.message}")


def refused(request: HtmxHttpRequest, form: JobForm, **more: Any) -> HttpResponse:
    part = "#formbody" if request.htmx else ""
    context = {**more, **shown(form, form)}
    return render(request, "jobs/order/form.html" + part, context, status=422)


@require_POST
def job_preview(request: HtmxHttpRequest, slug: str) -> HttpResponse:
    form = JobForm(get_recipe(request, slug), request.user, request.POST)
    context = {"oob": True, "fills": "fill" in request.POST, **Preview(form).context}
    return render(request, "jobs/order/form.html#preview", {"form": form, **context})


def fresh(form: JobForm) -> dict[str, Any]:
    """The page of a form that nobody has typed into: what it lacks is no error yet."""
    tried = JobForm(form.recipe, form.user, form.initial)
    return {**shown(form, tried), "fresh": True}


def shown(form: JobForm, tried: JobForm) -> dict[str, Any]:
    """The page of a form. ``tried`` is the one with the values, which may be the same."""
    preview = Preview(tried)
    form.show_unset(preview.unset)
    return {"form": form, **preview.context}


def get_recipe(request: HtmxHttpRequest, slug: str) -> Recipe:
    recipe = find_recipe(slug, request.user)
    if recipe is None:
        raise Http404("There is no such recipe.")
    return recipe


@require_GET
def job_clone(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """The form of a new job with another job's values; it is submitted like any new job."""
    job = get_job(request, pk)
    if not job.job_kind.has_recipes:
        raise Http404(f"{job.kind_label} has no form that could be filled with its settings.")
    base, filled = book.cloned_from(job, request.user)
    form = JobForm(base, request.user)
    own = {"machine": job.machine_id, "cloned": job.pk, **limits_of(job)}
    form.initial = initial(filled) | own
    if gone := book.known_part(job.spec_of_kind)[1]:
        messages.warning(request, f"Left out, since there is no such setting any more: {gone}.")
    return render(request, "jobs/order/form.html", {**fresh(form), "cloned": job})
