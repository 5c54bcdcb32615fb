import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Count, F, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from datasets import services
from datasets.elsewhere import uses_of
from datasets.formats.sniff import BY_SUFFIX
from datasets.forms import AddForm, NameForm, NewForm
from datasets.models import Dataset, Source, Target, Version
from datasets.services import DatasetError
from platform_site.fields import asked
from platform_site.htmx import HtmxHttpRequest
from platform_site.paths import allowed, listed_for
from platform_site.work.line import InLine
from platform_site.work.models import BUSY, State, Work

PAGE = 50
MOST_FILES = 500
MOST_SOURCES = 50
SORTS = ("name", "created_at", "newest_rows", "count")
ENDINGS = (*BY_SUFFIX, ".gz")


@require_GET
@vary_on_headers("HX-Request")
def dataset_list(request: HtmxHttpRequest) -> HttpResponse:
    filters = {name: asked(request.GET.get(name)) for name in ("target", "q")}
    sort = request.GET.get("sort", "name")
    if sort.removeprefix("-") not in SORTS:
        sort = "name"
    query = request.GET.copy()
    query.pop("page", None)
    context = {
        "page": Paginator(listed(filters, sort), PAGE).get_page(request.GET.get("page")),
        "filters": filters,
        "sort": sort,
        "targets": Target.choices,
        "query": query.urlencode(),
    }
    return render(request, "datasets/list.html" + ("#table" if request.htmx else ""), context)


def listed(filters: dict[str, str], sort: str) -> QuerySet[Dataset]:
    found: Any = Dataset.objects.with_newest().annotate(
        count=Count("versions", filter=Q(versions__state=State.DONE), distinct=True),
        busy=Count("versions", filter=Q(versions__state__in=BUSY), distinct=True)
        + Count("sources", filter=Q(sources__state__in=BUSY), distinct=True),
    )
    if filters["target"] in Target.values:
        found = found.filter(newest_target=filters["target"])
    if filters["q"]:
        found = found.filter(name__icontains=filters["q"])
    field = F(sort.removeprefix("-"))
    order = field.desc(nulls_last=True) if sort.startswith("-") else field.asc(nulls_last=True)
    ordered: QuerySet[Dataset] = found.select_related("owner").order_by(order, "name")
    return ordered


@require_http_methods(["GET", "POST"])
def dataset_new(request: HtmxHttpRequest) -> HttpResponse:
    if request.method == "GET":
        return render(request, "datasets/new.html", {"form": NewForm(), **limits()})
    form = NewForm(request.POST, request.FILES)
    if form.is_valid():
        try:
            dataset = services.create(
                form.cleaned_data["name"], request.user, form.cleaned_data["description"]
            )
        except DatasetError as error:
            form.add_error("name", str(error))
        else:
            if add_rows(form, dataset, request.user):
                return redirect(dataset)
            services.delete(dataset)  # it is empty
    return render(request, "datasets/new.html", {"form": form, **limits()}, status=422)


@require_http_methods(["GET", "POST"])
def dataset_add(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    dataset = changeable(request, pk)
    form = AddForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid() and add_rows(form, dataset, request.user):
        return redirect(dataset)
    context = {"form": form, "dataset": dataset, **limits()}
    return render(request, "datasets/new.html", context, status=422 if form.errors else 200)


def limits() -> dict[str, Any]:
    return {"roots": settings.TRAINYARD_PATHS, "largest": settings.TRAINYARD_LARGEST_UPLOAD}


def add_rows(form: AddForm, dataset: Dataset, who: User) -> bool:
    """Start the import that the form asks for; errors are added to the form's fields."""
    given = form.cleaned_data
    field, add = next(
        (name, add)
        for name, add in (
            ("file", services.import_upload),
            ("path", services.import_path),
            ("hub", services.import_hub),
        )
        if given[name]
    )
    try:
        add(dataset, given[field], who, given["encoding"])
    except DatasetError as error:
        form.add_error(field, str(error))
        return False
    return True


@require_GET
@vary_on_headers("HX-Request")
def dataset_detail(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    dataset = get_object_or_404(Dataset.objects.select_related("owner"), pk=pk)
    part = "#contents" if request.htmx else ""
    return render(
        request,
        "datasets/detail.html" + part,
        contents(dataset, request.user, request.GET.get("page")),
    )


def contents(dataset: Dataset, user: Any, number: str | None = None) -> dict[str, Any]:
    sources = list(dataset.sources.select_related("dataset")[:MOST_SOURCES])
    found = dataset.versions.select_related("source", "parent__dataset", "dataset")
    page = Paginator(found, PAGE).get_page(number)
    versions = list(page.object_list)
    return {
        "dataset": dataset,
        "sources": sources,
        "older_sources": dataset.sources.count() - len(sources),
        "page": page,
        "versions": [(version, uses_of(version)) for version in versions],
        "in_line": InLine(),
        "is_busy": any(work.is_busy for work in (*sources, *versions)),
        "can_change": dataset.can_change(user),
    }


@require_http_methods(["GET", "POST"])
def dataset_edit(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    dataset = changeable(request, pk)
    given = {"name": dataset.name, "description": dataset.description}
    form = NameForm(request.POST or None, initial=given)
    if request.method == "POST" and form.is_valid():
        try:
            services.edit(dataset, form.cleaned_data["name"], form.cleaned_data["description"])
        except DatasetError as error:
            form.add_error("name", str(error))
        else:
            return redirect(dataset)
    context = {"form": form, "dataset": dataset}
    return render(request, "datasets/edit.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "POST"])
def dataset_delete(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    dataset = changeable(request, pk)
    if request.method == "GET":
        return render(request, "datasets/delete.html", {"dataset": dataset})
    try:
        services.delete(dataset)
    except DatasetError as error:
        messages.error(request, str(error))
        return redirect(dataset)
    return redirect("datasets:list")


@require_GET
def browse(request: HtmxHttpRequest) -> HttpResponse:
    """List the folders that may be read, one level at a time."""
    text = request.GET.get("in", "")
    context: dict[str, Any] = {
        "roots": settings.TRAINYARD_PATHS,
        "folder": None,
        "entries": [],
        "problem": "",
    }
    try:
        if text:
            context["folder"] = folder = listed_for(request.user, text)
            context |= entries_of(folder)
    except ValueError as error:
        context["problem"] = str(error)
    except OSError as error:
        context["problem"] = f"{text} cannot be read: {error.strerror}."
    return render(request, "datasets/browse.html" + ("#folder" if request.htmx else ""), context)


def entries_of(folder: Path) -> dict[str, Any]:
    with os.scandir(folder) as found:
        named = [entry for entry in found if not entry.name.startswith(".")]
    folders = sorted(entry.name for entry in named if entry.is_dir())
    files = sorted(e.name for e in named if e.is_file() and e.name.lower().endswith(ENDINGS))
    parent = allowed(str(folder.parent))
    return {
        "parent": parent,
        "folders": [(name, str(folder / name)) for name in folders[:MOST_FILES]],
        "files": [(name, str(folder / name)) for name in files[:MOST_FILES]],
        "left_out": max(0, len(folders) - MOST_FILES) + max(0, len(files) - MOST_FILES),
    }


@require_POST
def source_retry(request: HtmxHttpRequest, pk: int, source: int) -> HttpResponse:
    return again(request, pk, get_object_or_404(Source, pk=source, dataset=pk))


@require_POST
def source_cancel(request: HtmxHttpRequest, pk: int, source: int) -> HttpResponse:
    return stop(request, pk, get_object_or_404(Source, pk=source, dataset=pk))


@require_POST
def version_retry(request: HtmxHttpRequest, pk: int, number: int) -> HttpResponse:
    return again(request, pk, get_object_or_404(Version, number=number, dataset=pk))


@require_POST
def version_cancel(request: HtmxHttpRequest, pk: int, number: int) -> HttpResponse:
    return stop(request, pk, get_object_or_404(Version, number=number, dataset=pk))


@require_POST
def version_delete(request: HtmxHttpRequest, pk: int, number: int) -> HttpResponse:
    dataset = changeable(request, pk)
    try:
        services.delete_version(get_object_or_404(Version, number=number, dataset=dataset))
    except DatasetError as error:
        messages.error(request, str(error))
    return redirect(dataset)


def again(request: HtmxHttpRequest, pk: int, work: Work) -> HttpResponse:
    dataset = changeable(request, pk)
    try:
        if not services.retry(work, request.user):
            messages.info(request, "It goes on already.")
    except DatasetError as error:
        messages.error(request, str(error))
    return redirect(dataset)


def stop(request: HtmxHttpRequest, pk: int, work: Work) -> HttpResponse:
    dataset = changeable(request, pk)
    services.cancel(work)
    return redirect(dataset)


def changeable(request: HttpRequest, pk: int) -> Dataset:
    """The data set, if the user may change it: everybody reads, its owner and staff write."""
    dataset = get_object_or_404(Dataset, pk=pk)
    if not isinstance(request.user, User) or not dataset.can_change(request.user):
        raise PermissionDenied("Only its owner and staff change a data set.")
    return dataset
