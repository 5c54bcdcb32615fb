"""Pages of one version: rows, a row in full and as the model sees it, fields, files."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import FileResponse, Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from datasets.elsewhere import links_of, uses_of
from datasets.formats.rows import OPS
from datasets.formats.shown import (
    TOKENIZERS,
    distribution_shown,
    removed_shown,
    row_shown,
    rows_shown,
    tokens_shown,
)
from datasets.models import Dataset, Version
from datasets.versions.forms import TokensForm
from platform_site.bounded.calls import bounded, call
from platform_site.bounded.limits import TEMPLATES, TooMuch
from platform_site.htmx import HtmxHttpRequest
from platform_site.paths import inside
from platform_site.work.line import InLine

SHOWN = 25
REMOVED = "datasets/versions/removed.html"
FILES = {"train": "Training", "val": "Validation"}
TABS = {
    "version": "Rows",
    "version_tokens": "As the model sees it",
    "version_report": "Check",
    "version_distribution": "Fields",
    "version_removed": "Left out",
}


def opened(
    request: HtmxHttpRequest, pk: int, number: int, tab: str
) -> tuple[Version, dict[str, Any]]:
    """The version, and what every page about it shows."""
    found = Version.objects.select_related("dataset", "source", "parent__dataset")
    version = get_object_or_404(found, dataset=pk, number=number)
    tabs = [
        (name, label, name == tab)
        for name, label in TABS.items()
        if name != "version_removed" or version.rows_removed
    ]
    can_change = version.dataset.can_change(request.user)
    context = {"version": version, "dataset": version.dataset, "tabs": tabs}
    more = {"links": links_of(version), "uses": uses_of(version), "in_line": InLine()}
    return version, {**context, "can_change": can_change, **more}


def file_of(version: Version, which: str) -> Path:
    """A file of a version that may be read. Raises ``ValueError`` with a sentence."""
    if not version.is_done:
        raise ValueError(f"{version} is not ready: {version.get_state_display().lower()}.")
    text = version.val_file if which == "val" else version.train_file
    path = inside(text)
    if not path.is_file():
        raise ValueError(f"The file {text} is gone.")
    return path


def which_file(request: HtmxHttpRequest) -> str:
    return "val" if request.GET.get("file") == "val" else "train"


@require_GET
@vary_on_headers("HX-Request")
def rows(request: HtmxHttpRequest, pk: int, number: int) -> HttpResponse:
    version, context = opened(request, pk, number, "version")
    asked = {name: request.GET.get(name, "").replace("\0", "") for name in ("q", "field", "value")}
    op = request.GET.get("op", "contains")
    context |= {"asked": {**asked, "op": op if op in OPS else "contains"}, "ops": OPS}
    context |= {"which": which_file(request), "files": FILES, "rows": []}
    context |= _page(version, context, whole(request.GET.get("start")))
    part = "#rows" if request.htmx and request.htmx.target == "rows" else ""
    return render(request, "datasets/versions/rows.html" + part, context)


def _page(version: Version, context: dict[str, Any], start: int) -> dict[str, Any]:
    asked = context["asked"]
    filters = [(asked["field"], asked["op"], asked["value"])] if asked["field"] else []
    try:
        path = file_of(version, context["which"])
        found = bounded(rows_shown, path, start, SHOWN, asked["q"], filters)
    except ValueError as error:
        return {"problem": str(error)}
    before = max(0, start - SHOWN) if start and found.total is not None else None
    return {
        "rows": found.rows,
        "fields": found.fields,
        "total": found.total,
        "start": start,
        "next_start": found.next_start,
        "before": before,
    }


def whole(text: str | None) -> int:
    return min(int(text), 2**40) if text and text.isdecimal() and len(text) < 15 else 0


@require_GET
def row(request: HtmxHttpRequest, pk: int, number: int, row: int) -> HttpResponse:
    version, context = opened(request, pk, number, "version")
    which = which_file(request)
    context |= {"row": row, "which": which, "files": FILES, **_one(version, which, row)}
    return render(request, "datasets/versions/row.html", context)


def _one(version: Version, which: str, row: int) -> dict[str, Any]:
    try:
        parts, extra = bounded(row_shown, file_of(version, which), row)
    except TooMuch as error:
        return {"problem": str(error)}
    except (IndexError, ValueError) as error:
        raise Http404(f"{version} has no such row: {error}") from None
    return {"parts": parts, "extra": extra, "line": dict(extra).get("line")}


@require_GET
def tokens(request: HtmxHttpRequest, pk: int, number: int) -> HttpResponse:
    version, context = opened(request, pk, number, "version_tokens")
    given = {"model": next(iter(sample_models()), ""), "row": 0, "file": "train"}
    form = TokensForm(request.user, {**given, **request.GET.dict()})
    context |= {"form": form, "models": sample_models(), "target": version.target}
    if form.is_valid():
        context |= _view(version, form.cleaned_data, whole(request.GET.get("start")))
    return render(request, "datasets/versions/tokens.html", context)


def _view(version: Version, given: dict[str, Any], start: int) -> dict[str, Any]:
    try:
        model, file = inside(given["model"]), file_of(version, given["file"])
        cut = given["max_length"], given["truncation"]
        sides = call(
            TEMPLATES,
            TOKENIZERS,
            tokens_shown,
            file,
            given["row"],
            model,
            version.target,
            *cut,
            start,
        )
    except IndexError:
        return {"problem": f"The file has no row {given['row']}."}
    except ValueError as error:
        return {"problem": str(error)}
    return {"sides": sides}


def sample_models() -> list[str]:
    folder = Path(settings.TRAINYARD_HOME) / "samples"
    return [str(path) for name in ("model", "model-warm") if (path := folder / name).is_dir()]


@require_GET
def distribution(request: HtmxHttpRequest, pk: int, number: int) -> HttpResponse:
    version, context = opened(request, pk, number, "version_distribution")
    context |= {"which": which_file(request), "files": FILES}
    field = request.GET.get("field", "").replace("\0", "")
    try:
        path = file_of(version, context["which"])
        fields, found, lengths = bounded(distribution_shown, path, field)
        context |= {"fields": fields, "field": found.field, "found": found, "lengths": lengths}
    except ValueError as error:
        context["problem"] = str(error)
    return render(request, "datasets/versions/fields.html", context)


@require_GET
def removed(request: HtmxHttpRequest, pk: int, number: int) -> HttpResponse:
    version, context = opened(request, pk, number, "version_removed")
    start = whole(request.GET.get("start"))
    if not version.removed_file.is_file():
        raise Http404("Nothing was left out.")
    try:
        found = bounded(removed_shown, version.removed_file, start, SHOWN)
    except ValueError as error:
        return render(request, REMOVED, context | {"problem": str(error)})
    context |= {"rows": [row for _, row in found.rows], "total": found.total, "start": start}
    context |= {"next_start": found.next_start, "before": max(0, start - SHOWN) if start else None}
    return render(request, REMOVED, context)


@require_GET
def download(request: HtmxHttpRequest, pk: int, number: int, which: str) -> FileResponse:
    version = get_object_or_404(Version, dataset=get_object_or_404(Dataset, pk=pk), number=number)
    if which not in FILES:
        raise Http404("There is no such file.")
    try:
        path = file_of(version, which)
    except ValueError as error:
        raise Http404(str(error)) from None
    return FileResponse(path.open("rb"), as_attachment=True, filename=f"{which}.parquet")
