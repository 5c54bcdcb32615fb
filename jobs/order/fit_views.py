"""Whether jobs fit: loaded by the form, the recipes and the list, which do not wait for it."""

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST

from compute.machines.local import local_machine
from compute.models import Machine
from jobs.fit.badge import FAILED, Fit, fit_of, runs_on_gpus
from jobs.fit.lookups import Lookups
from jobs.models import ENDED, Job
from jobs.order import shelf
from jobs.order.forms import JobForm
from jobs.order.sketch import readable_spec
from jobs.order.views import get_recipe
from jobs.places import places
from jobs.verl.spec import TrainSpec
from platform_site.htmx import HtmxHttpRequest

MOST = 100  # jobs of a page

T = TypeVar("T")
log = logging.getLogger(__name__)


@require_POST
def job_fit(request: HtmxHttpRequest, slug: str) -> HttpResponse:
    """Of the form as it stands; what cannot be read of it is left out."""
    form = JobForm(get_recipe(request, slug), request.user, request.POST)
    spec, machine = readable_spec(form)
    fit = fit_of(spec, machine or local_machine()) if runs_on_gpus(spec) else None
    context = {"fit": fit, "recipe": form.recipe}
    part = "#badge" if request.htmx else ""
    return render(request, "jobs/order/fit.html" + part, context)


@require_GET
def recipe_fits(request: HtmxHttpRequest) -> HttpResponse:
    """A badge for each recipe that can run on a machine here with GPUs."""
    machines = {machine.name: machine for machine in Machine.objects.for_jobs()}
    offers = [one for one in shelf.offers(request.user) if one.runs and one.where in machines]
    specs = [one.recipe.spec(places()) for one in offers]
    lookups = Lookups(specs=[spec for spec in specs if runs_on_gpus(spec)])

    def fit(offer: shelf.Offer) -> Fit | None:
        spec = offer.recipe.spec(places())
        return fit_of(spec, machines[offer.where], lookups) if runs_on_gpus(spec) else None

    return _badges(request, {offer.recipe.slug: offer for offer in offers}, fit)


@require_GET
def job_fits(request: HtmxHttpRequest) -> HttpResponse:
    """A badge for each of the jobs (``job=``) that have not ended and train on GPUs."""
    asked = [pk for pk in request.GET.getlist("job") if pk.isdecimal() and len(pk) < 16][:MOST]
    jobs = Job.objects.visible_to(request.user).filter(pk__in=asked).exclude(status__in=ENDED)
    shown = {job.pk: job for job in jobs.select_related("machine")}
    lookups = Lookups(specs=_estimated(shown.values()))

    def fit(job: Job) -> Fit | None:
        spec = job.spec_of_kind
        return fit_of(spec, job.machine, lookups) if runs_on_gpus(spec) else None

    return _badges(request, shown, fit)


def _estimated(jobs: Iterable[Job]) -> list[TrainSpec]:
    """The specs that an estimate is made of. One that cannot be read fails with its own badge."""
    found = []
    for job in jobs:
        with suppress(Exception):
            spec = job.spec_of_kind
            found += [spec] if runs_on_gpus(spec) else []
    return found


def _badges(
    request: HtmxHttpRequest, shown: Mapping[Any, T], fit: Callable[[T], Fit | None]
) -> HttpResponse:
    """A badge for each of ``shown``, by its id, that has a fit. One may fail alone."""
    found: list[tuple[str, Fit]] = []
    for key, one in shown.items():
        try:
            told = fit(one)
        except Exception:
            log.exception("Whether %s (%s) fits could not be told", one, key)
            told = FAILED
        if told:
            found.append((f"fit-{key}", told))
    return render(request, "jobs/order/fits.html", {"fits": found})
