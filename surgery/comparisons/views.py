from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_http_methods
from django.views.decorators.vary import vary_on_headers

from jobs.requests import get_job
from platform_site.htmx import HtmxHttpRequest
from surgery.comparisons.findings import MEASURES, NotReadable
from surgery.comparisons.forms import CompareForm
from surgery.comparisons.heat import heat_of
from surgery.comparisons.results import findings_of
from surgery.kinds.compare import CompareSpec
from surgery.making.offered import SAVED, offered
from surgery.making.views import answered, begun, listed, shown

TEMPLATE = "surgery/comparisons/new.html"
USUAL = "relative"
FIRST = 25  # tensors; the others are there to be opened


@require_http_methods(["GET", "POST"])
def compare_new(request: HtmxHttpRequest) -> HttpResponse:
    """The form of a comparison. The first two artifacts of ``?from=`` are chosen."""
    if request.method == "POST":
        also = listed(request.POST, "before", "after")
        form = CompareForm(request.user, offered(request.user, SAVED, also=also), request.POST)
        return answered(request, TEMPLATE, form)
    initial, places = begun(request)
    paths = [place.path for place in places]
    both = dict(zip(("before", "after"), paths, strict=False))
    options = offered(request.user, SAVED, also=paths)
    return shown(request, TEMPLATE, CompareForm(request.user, options, initial=initial | both))


@require_GET
@vary_on_headers("HX-Request")
def comparison(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """The map of layers and modules by one measure, and the tensors that changed most."""
    job = get_job(request, pk)
    if not isinstance(job.spec_of_kind, CompareSpec):
        raise Http404("The job compares no models.")
    measure = request.GET.get("by", USUAL)
    measure = measure if measure in MEASURES else USUAL
    context = {
        "job": job,
        "measures": MEASURES.items(),
        "measure": measure,
        "label": MEASURES[measure],
    }
    try:
        found = findings_of(job)
    except NotReadable as error:
        context["refused"] = str(error)
    else:
        most = found.most_changed
        context |= {"found": found, "heat": heat_of(found.cells, measure)}
        context |= {"first": most[:FIRST], "further": most[FIRST:]}
    part = "#map" if request.htmx and "found" in context else ""
    return render(request, "surgery/comparisons/comparison.html" + part, context)
