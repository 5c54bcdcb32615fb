"""The mapping form: from a source's columns to a version, with a preview of the first rows."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from datasets import services
from datasets.formats.codes import RowProblem
from datasets.formats.columns import SHAPES
from datasets.formats.mapping import convert
from datasets.formats.parts import row_parts
from datasets.formats.shapes import trial
from datasets.formats.source import read_source
from datasets.forms import MapForm, initial_of
from datasets.mapping.proposals import LOOKED_AT, nothing_fits, proposals
from datasets.models import Source
from datasets.services import DatasetError
from datasets.views import changeable
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
    context = {"form": form, **_facts(found), **_preview(form)}
    return render(request, "datasets/mapping/map.html", context, status=422)


def _form_page(request: HtmxHttpRequest, source: Source) -> HttpResponse:
    offered = proposals(source)
    asked = request.GET.get("shape", "")
    chosen = next((p.mapping for p in offered if asked in ("", p.shape)), None)
    shape = asked if asked in SHAPES else (chosen.shape if chosen else next(iter(SHAPES)))
    initial = initial_of(chosen) if chosen else {"shape": shape}
    form = MapForm(source, shape, initial=initial)
    defaults = {name: str(form[name].value() or "") for name in form.fields}
    trial = MapForm(source, shape, defaults)
    why = "" if offered else nothing_fits(source)
    context = {"form": form, "proposals": offered, "why": why, **_facts(source), **_preview(trial)}
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
    fields = source.facts.get("fields", {})
    return {"source": source, "dataset": source.dataset, "columns": list(fields)}


def _preview(form: MapForm) -> dict[str, Any]:
    """The first rows after conversion, or the problem of each."""
    if not form.is_valid():
        errors = [
            (form[n].label if n in form.fields else "", list(e)) for n, e in form.errors.items()
        ]
        return {"rows": [], "errors": errors}
    found = read_source(form.source.rows_file, 0, LOOKED_AT)
    fitting, lost = trial([row.data for row in found], form.mapping)
    return {
        "rows": [_row(row, form) for row in found[:SHOWN]],
        "looked_at": len(found),
        "fitting": fitting,
        "lost": dict(lost.most_common()),
    }


def _row(row: Any, form: MapForm) -> dict[str, Any]:
    try:
        made = convert(row.data, form.mapping, 0, row.line, "train")
    except RowProblem as problem:
        return {"line": row.line, "problem": str(problem)}
    return {"line": row.line, "fields": row_parts(made, None)}
