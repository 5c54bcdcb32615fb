"""The list of artifacts, the page of one, and what is asked of one there."""

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.paginator import Paginator
from django.db.models import Prefetch
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from compute.models import Machine
from datasets.models import Version
from jobs.artifacts import deleting, shown
from jobs.artifacts.deleting import DeleteError
from jobs.artifacts.forms import DeleteForm
from jobs.artifacts.lineage import lineage
from jobs.artifacts.refusals import warnings, why_not
from jobs.models import Artifact, Place
from jobs.requests import get_job
from platform_site.fields import asked
from platform_site.htmx import HtmxHttpRequest

PAGE = 50
NEWEST = "-made_at"


@require_GET
@vary_on_headers("HX-Request")
def artifact_list(request: HtmxHttpRequest) -> HttpResponse:
    filters = {name: asked(request.GET.get(name)) for name in shown.FILTERS}
    sort = request.GET.get("sort", NEWEST)
    if sort.removeprefix("-") not in shown.SORTS:
        sort = NEWEST
    mine = shown.filtered(Artifact.objects.visible_to(request.user), filters)
    rows = shown.in_order(mine, sort).select_related("job").prefetch_related(_places())
    context = {
        "page": Paginator(rows, PAGE).get_page(request.GET.get("page")),
        "filters": filters,
        "is_filtered": any(filters.values()),
        "sort": sort,
        "kinds": Artifact.Kind.choices,
        "states": shown.STATES.items(),
        "machines": [(str(each.pk), each.name) for each in Machine.objects.kept()],
    }
    part = "#table" if request.htmx else ""
    return render(request, "jobs/artifacts/list.html" + part, context)


@require_GET
def artifact_detail(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    artifact = get_artifact(request, pk)
    places = [
        {"place": place, "why_not": why_not(place) if artifact.job_id else ""}
        for place in artifact.places.all()
    ]
    context = {
        "artifact": artifact,
        "is_own": is_own(artifact, request.user),
        "places": places,
        "up": lineage(artifact, "up", request.user),
        "down": lineage(artifact, "down", request.user),
    }
    return render(request, "jobs/artifacts/detail.html", context)


@require_POST
def artifact_pin(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    artifact = get_own(request, pk)
    deleting.pin(artifact, who=request.user.get_username())
    return redirect(artifact)


@require_POST
def artifact_unpin(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    artifact = get_own(request, pk)
    deleting.unpin(artifact)
    return redirect(artifact)


@require_http_methods(["GET", "POST"])
def artifact_delete(request: HtmxHttpRequest, pk: int, place: int) -> HttpResponse:
    artifact = get_own(request, pk)
    found = get_object_or_404(artifact.places.select_related("machine"), pk=place)
    form = DeleteForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            who = request.user.get_username()
            deleting.delete(found, who=who, sure=form.cleaned_data["sure"])
        except deleting.NeedsSecondWord:
            form.add_error("sure", "Tick this to delete it all the same.")
        except DeleteError as error:
            messages.error(request, str(error))
            return redirect(artifact)
        else:
            messages.success(request, f"The {artifact} is being deleted.")
            return redirect(artifact)
    return _question(request, artifact, found, form)


def _question(
    request: HtmxHttpRequest, artifact: Artifact, place: Place, form: DeleteForm
) -> HttpResponse:
    lost = warnings(place)
    context = {
        "artifact": artifact,
        "place": place,
        "form": form,
        "why_not": why_not(place),
        "warnings": lost,
    }
    status = 422 if form.errors else 200
    return render(request, "jobs/artifacts/delete.html", context, status=status)


@require_GET
def of_version(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """What was made from a version of a data set: its page links here, and knows no jobs."""
    version = get_object_or_404(Version.objects.select_related("dataset"), pk=pk)
    artifact = Artifact.objects.filter(version=version).first()
    if artifact is None:
        messages.info(request, "No job has read this version yet.")
        return redirect(version)
    return redirect(artifact)


@require_GET
def of_job(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """What a job read and made."""
    job = get_job(request, pk)
    trees = {way: lineage(job, way, request.user) for way in ("up", "down")}
    return render(request, "jobs/artifacts/job.html", {"job": job, **trees})


def get_artifact(request: HtmxHttpRequest, pk: int) -> Artifact:
    mine = Artifact.objects.visible_to(request.user).with_state()
    rows = mine.select_related("job__machine", "version__dataset").prefetch_related(_places())
    return get_object_or_404(rows, pk=pk)


def get_own(request: HtmxHttpRequest, pk: int) -> Artifact:
    """One that the user may change: data sets are seen by everybody, and changed on their pages."""
    artifact = get_artifact(request, pk)
    if not is_own(artifact, request.user):
        raise Http404
    return artifact


def is_own(artifact: Artifact, user: User) -> bool:
    return user.is_staff or artifact.owner_id == user.pk


def _places() -> Prefetch[str]:
    rows = Place.objects.select_related("machine", "artifact__job")
    return Prefetch("places", rows.prefetch_related("removals"))
