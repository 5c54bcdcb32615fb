from django.conf import settings
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from monitoring.foreign.sources import KINDS
from monitoring.imports import services
from monitoring.imports.forms import ImportForm
from monitoring.imports.services import ImportRefused
from monitoring.models import RunImport
from platform_site.htmx import HtmxHttpRequest
from platform_site.work.line import InLine

PAGE = 20


@require_http_methods(["GET", "POST"])
def imports(request: HtmxHttpRequest) -> HttpResponse:
    """What can be imported, and what was."""
    form = ImportForm(request.POST or None, request.FILES or None)
    if request.method == "POST":
        form = ImportForm(request.POST, request.FILES)
        if form.is_valid() and (work := started(form, request)):
            return redirect(work)
    mine = RunImport.objects.filter(owner=request.user).prefetch_related("jobs")
    context = {
        "form": form,
        "kinds": KINDS,
        "page": Paginator(mine, PAGE).get_page(request.GET.get("page")),
        "in_line": InLine(),
        "largest": settings.TRAINYARD_LARGEST_UPLOAD,
    }
    status = 422 if form.errors else 200
    return render(request, "monitoring/imports/list.html", context, status=status)


def started(form: ImportForm, request: HtmxHttpRequest) -> RunImport | None:
    """The import that the form asks for; an error is added to the form's field."""
    given = form.cleaned_data
    try:
        if given["file"]:
            return services.import_upload(request.user, given["file"], given["title"])
        return services.import_path(request.user, given["path"], given["title"])
    except ImportRefused as error:
        form.add_error("file" if given["file"] else "path", str(error))
        return None


@require_GET
@vary_on_headers("HX-Request")
def detail(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    work = get_object_or_404(RunImport, pk=pk, owner=request.user)
    context = {"work": work, "jobs": work.jobs.order_by("pk"), "in_line": InLine()}
    part = "#state" if request.htmx else ""
    return render(request, f"monitoring/imports/detail.html{part}", context)


@require_POST
def cancel(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    work = get_object_or_404(RunImport, pk=pk, owner=request.user)
    services.cancel(work)
    return redirect(work)
