from django.http import HttpResponse
from django.views.decorators.http import require_http_methods

from jobs.requests import get_job
from platform_site.fields import asked_key
from platform_site.htmx import HtmxHttpRequest
from surgery.averages.forms import AverageForm
from surgery.making.offered import SAVED, offered
from surgery.making.views import answered, begun, listed, shown

TEMPLATE = "surgery/averages/new.html"


@require_http_methods(["GET", "POST"])
def average_new(request: HtmxHttpRequest) -> HttpResponse:
    """The form of an average. ``?job=`` offers the checkpoints of a run, ``?from=`` chooses."""
    if request.method == "POST":
        also = listed(request.POST, "models")
        form = AverageForm(request.user, offered(request.user, SAVED, also=also), request.POST)
        return answered(request, TEMPLATE, form)
    initial, places = begun(request)
    paths = [place.path for place in places]
    job = _job(request)
    options = offered(request.user, SAVED, also=paths, job=job)
    form = AverageForm(request.user, options, initial=initial | {"models": paths})
    return shown(request, TEMPLATE, form)


def _job(request: HtmxHttpRequest) -> int:
    """The run whose checkpoints are offered; 0 for all."""
    key = asked_key(request.GET.get("job", ""))
    return 0 if key is None else get_job(request, key).pk
