"""The mapping form: from a source's columns to a version, with a preview of the first rows."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from datasets import services
from datasets.formats.columns import SHAPES
from datasets.formats.shown import mapped
from datasets.forms import MapForm, initial_of
from datasets.mapping.proposals import columns_of
from datasets.models import Source
from datasets.services import DatasetError
from datasets.views import changeable
from platform_site.bounded.calls import bounded
from platform_site.bounded.limits import TooMuch
from platform_site.htmx import HtmxHttpRequest

SHOWN = 8


@require_http_methods(["GET", "POST"])
def source_map(request: HtmxHttpRequest, pk: int, source: int) -> HttpResponse:
    dataset = changeable(request, pk)
    found = get_object_or_404(Source.objects.ready(), pk=source, dataset=dataset)
    if request.method == "GET":
        return _form_page(request, found)
    form = MapForm(found, shape_in(request.POST), request.POST)
    if form.is_valid():
        try:
            version = services.compile_version(found, form.mapping, form.split, request.user)
        except DatasetError as error:
            form.add_error(None, str(error))
        else:
            return redirect(version)
    context = {"form": form, **_facts(found), **_preview(form), "errors": []}  # they stand on top
    return render(request, "datasets/mapping/map.html", context, status=422)


def _form_page(request: HtmxHttpRequest, source: Source) -> HttpResponse:
    facts = _facts(source)
    asked = request.GET.get("shape", "")
    chosen = next((p.mapping for p in facts["proposals"] if asked in ("", p.shape)), None)
    shape = asked if asked in SHAPES else (chosen.shape if chosen else next(iter(SHAPES)))
    initial = initial_of(chosen) if chosen else {"shape": shape}
    form = MapForm(source, shape, initial=initial)
    defaults = {name: str(form[name].value() or "") for name in form.fields}
    preview = _preview(MapForm(source, shape, defaults))
    # Nobody has filled it in yet: what is missing is no error.
    context = {"form": form, **facts, **preview, "errors": [], "missing": preview["errors"]}
    part = "#mapbody" if request.htmx else ""
    return render(request, "datasets/mapping/map.html" + part, context)


@require_POST
def map_preview(request: HtmxHttpRequest, pk: int, source: int) -> HttpResponse:
    dataset = changeable(request, pk)
    found = get_object_or_404(Source.objects.ready(), pk=source, dataset=dataset)
    form = MapForm(found, shape_in(request.POST), request.POST)
    return render(request, "datasets/mapping/map.html#preview", {"form": form, **_preview(form)})


def shape_in(data: Any) -> str:
    shape = data.get("shape", "")
    return shape if shape in SHAPES else next(iter(SHAPES))


def _facts(source: Source) -> dict[str, Any]:
    """What the page shows of the source, whatever stands in the form."""
    found = columns_of(source)
    return {
        "source": source,
        "dataset": source.dataset,
        "columns": list(source.facts.get("fields", {})),
        "raw": found,
        "proposals": found.proposals,
        "why": found.why,
    }


def _preview(form: MapForm) -> dict[str, Any]:
    """What is wrong, and the first rows after conversion with the reasons of those that fail."""
    form.is_valid()
    errors = [(form[n].label if n in form.fields else "", list(e)) for n, e in form.errors.items()]
    if not form.can_be_tried:
        return {"rows": [], "errors": errors}
    try:
        return {"errors": errors, **bounded(mapped, form.source.rows_file, form.mapping, SHOWN)}
    except TooMuch as error:
        return {
            "rows": [],
            "errors": [*errors, ("", [f"The rows could not be looked at. {error}"])],
        }
