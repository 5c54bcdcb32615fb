import uuid as uuids
from collections.abc import Sequence
from typing import Any

from django.core.paginator import Paginator
from django.forms import BaseForm
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from jobs.launch.submit import MadeAnother, NotSubmitted
from jobs.models import Job, Place, Status
from jobs.queue import rental
from jobs.requests import warn_of_rental
from platform_site.fields import asked
from platform_site.htmx import HtmxHttpRequest
from surgery.compose import services
from surgery.compose.checks import check
from surgery.compose.forms import MergeForm, WriteForm, fields_of
from surgery.kinds.all import KINDS
from surgery.kinds.merge import MergeSpec
from surgery.making.checks import SurgeryError
from surgery.making.offered import SAVED, offered
from surgery.making.trying import in_words, look
from surgery.making.views import begun
from surgery.recipes.filled import fill
from surgery.recipes.methods import METHODS
from surgery.recipes.recipe import Recipe, RecipeError

PAGE = 50
NEWEST = "-created_at"
SORTS = ("name", "status", "created_at")


@require_GET
@vary_on_headers("HX-Request")
def surgery_list(request: HtmxHttpRequest) -> HttpResponse:
    filters = {name: asked(request.GET.get(name)) for name in ("kind", "status", "q")}
    sort = request.GET.get("sort", NEWEST)
    sort = sort if sort.removeprefix("-") in SORTS else NEWEST
    jobs = Job.objects.visible_to(request.user).shown().filter(kind__in=KINDS)
    if filters["status"] in Status.values:
        jobs = jobs.filter(status=filters["status"])
    if filters["kind"] in KINDS:
        jobs = jobs.filter(kind=filters["kind"])
    if filters["q"]:
        jobs = jobs.filter(name__icontains=filters["q"])
    rows = jobs.select_related("machine", "owner").order_by(sort, "-pk")
    context = {
        "page": Paginator(rows, PAGE).get_page(request.GET.get("page")),
        "filters": filters,
        "sort": sort,
        "statuses": Status.choices,
        "kinds": [(slug, kind.label) for slug, kind in KINDS.items()],
    }
    return render(request, "surgery/list.html" + ("#table" if request.htmx else ""), context)


@require_http_methods(["GET", "POST"])
@vary_on_headers("HX-Request")
def surgery_new(request: HtmxHttpRequest) -> HttpResponse:
    """The form of a merge. Its buttons write the recipe, check it, or start the job."""
    if request.method == "GET":
        return _begun(request)
    places = offered(request.user, SAVED, also=request.POST.getlist("models"))
    action = request.POST.get("action")
    if action == "write":
        return _write(request, WriteForm(places, request.POST))
    if action == "fill":
        return _fill(request, places)
    form = MergeForm(request.user, request.POST)
    forms = {"write": WriteForm(places, initial=_as_given(request)), "form": form}
    if not form.is_valid():
        return _shown(request, forms, status=422)
    return _check_or_start(request, forms, form, is_check=action == "check")


def _begun(request: HtmxHttpRequest) -> HttpResponse:
    """The form as it is opened: the artifacts of ``?from=`` are chosen."""
    initial, chosen = begun(request)
    paths = [place.path for place in chosen]
    write = WriteForm(offered(request.user, SAVED, also=paths), initial={"models": paths})
    return _shown(request, {"write": write, "form": MergeForm(request.user, initial=initial)})


@require_POST
def surgery_preview(request: HtmxHttpRequest) -> HttpResponse:
    """What the fields would write, and what is wrong with the recipe as it stands. Nothing is
    kept."""
    places = offered(request.user, SAVED, also=request.POST.getlist("models"))
    write = WriteForm(places, request.POST)
    is_begun = bool(request.POST.getlist("models") or request.POST.get("more_models", "").strip())
    text = write.written() if is_begun and write.is_valid() else ""
    form = MergeForm(request.user, request.POST)
    context = {
        "text": text,
        "wrong": _named(write) if is_begun else [],
        "is_begun": is_begun,
        "has_recipe": bool(request.POST.get("recipe", "").strip()),
        "recipe": _recipe(request, form),
        "refused": _named(form),
    }
    return render(request, "surgery/compose/preview.html", context)


def _recipe(request: HtmxHttpRequest, form: MergeForm) -> Recipe | None:
    """The recipe that stands in the form; what is wrong with it is an error of the form."""
    if not form.is_valid():
        return None
    try:
        given = form.cleaned_data
        return check(given["recipe"], given["machine"], request.user)
    except (RecipeError, SurgeryError) as error:
        form.add_error("recipe", str(error))
        return None


def _named(form: BaseForm) -> list[str]:
    """What is wrong, each with the name of its field."""
    return [
        f"{form.fields[name].label}: {said}" if name in form.fields else str(said)
        for name, errors in form.errors.items()
        for said in errors
    ]


def _write(request: HtmxHttpRequest, write: WriteForm) -> HttpResponse:
    text = write.written() if write.is_valid() else ""
    kept = _kept(request, text or request.POST.get("recipe", ""))
    forms = {"write": write, "form": MergeForm(request.user, initial=kept)}
    return _shown(request, forms, status=200 if text else 422)


def _kept(request: HtmxHttpRequest, recipe: str) -> dict[str, Any]:
    """What stands in the fields of the job, which is not asked for yet."""
    names = ("machine", "name")
    given = {name: request.POST[name] for name in names if request.POST.get(name)}
    return {**given, "uuid": uuids.uuid4(), "recipe": recipe}


def _fill(request: HtmxHttpRequest, places: Sequence[Place]) -> HttpResponse:
    """The fields as the recipe below them says."""
    form = MergeForm(request.user, initial=_kept(request, request.POST.get("recipe", "")))
    try:
        found = fill(request.POST.get("recipe", ""))
    except RecipeError as error:
        write = WriteForm(places, initial=_as_given(request))
        return _shown(request, {"write": write, "form": form}, 422, not_filled=str(error))
    write = WriteForm(places, initial=fields_of(found))
    return _shown(request, {"write": write, "form": form}, filled=found)


def _check_or_start(
    request: HtmxHttpRequest, forms: dict[str, Any], form: MergeForm, *, is_check: bool
) -> HttpResponse:
    given = form.cleaned_data
    try:
        if is_check:
            recipe = check(given["recipe"], given["machine"], request.user)
            seen = in_words(look(MergeSpec(given["recipe"]), given["machine"]))
            return _shown(request, forms, checked=recipe, seen=seen)
        made = services.merge(
            given["recipe"], given["machine"], request.user, name=given["name"], uuid=given["uuid"]
        )
    except MadeAnother as error:
        form.refuse(error)
        return _shown(request, forms, status=422)
    except (RecipeError, NotSubmitted) as error:
        form.add_error("recipe", str(error))
        return _shown(request, forms, status=422)
    warn_of_rental(request, rental.warning(made))
    return redirect(made)


def _as_given(request: HtmxHttpRequest) -> dict[str, Any]:
    """What stands in the fields that a recipe is written of, so that they stay as they are."""
    lists = {"models": request.POST.getlist("models")}
    names = [name for name in WriteForm.base_fields if name not in lists]
    return lists | {name: request.POST[name] for name in names if name in request.POST}


def _shown(
    request: HtmxHttpRequest, forms: dict[str, Any], status: int = 200, **more: Any
) -> HttpResponse:
    context = {**forms, "methods": METHODS.values(), **more}
    return render(request, "surgery/new.html", context, status=status)
