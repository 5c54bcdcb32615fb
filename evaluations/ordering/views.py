from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from evaluations.ordering.forms import USUAL, EvaluateForm
from evaluations.ordering.services import order
from jobs.launch.submit import NotSubmitted
from jobs.queue import rental
from jobs.requests import warn_of_rental
from platform_site.htmx import HtmxHttpRequest
from surgery.making.checks import SurgeryError
from surgery.making.offered import SAVED, offered
from surgery.making.trying import in_words, look
from surgery.making.views import begun, listed, shown

TEMPLATE = "evaluations/ordering/new.html"
BEGINS = ("samples", "temperature", "max_new_tokens", "backend", "gpus", "batch_size")


@require_http_methods(["GET", "POST"])
def evaluate_new(request: HtmxHttpRequest) -> HttpResponse:
    """The form of evaluations. ``?from=`` chooses artifacts, ``?on=`` a version."""
    if request.method == "POST":
        also = listed(request.POST, "models")
        form = EvaluateForm(request.user, offered(request.user, SAVED, also=also), request.POST)
        return answered(request, form)
    initial, places = begun(request)
    paths = [place.path for place in places]
    initial |= {name: getattr(USUAL, name) for name in BEGINS}
    initial |= {"models": paths, "dataset": request.GET.get("on", "")}
    options = offered(request.user, SAVED, also=paths)
    return shown(request, TEMPLATE, EvaluateForm(request.user, options, initial=initial))


def answered(request: HtmxHttpRequest, form: EvaluateForm) -> HttpResponse:
    """The jobs are started, or the form says what was checked or what is wrong."""
    if not form.is_valid():
        return shown(request, TEMPLATE, form, 422)
    if request.POST.get("action") == "check":
        try:
            seen = [in_words(look(spec, form.cleaned_data["machine"])) for spec in form.specs[:1]]
        except SurgeryError as error:
            form.add_error(None, str(error))
            return shown(request, TEMPLATE, form, 422)
        return shown(request, TEMPLATE, form, is_checked=True, seen=seen[0])
    try:
        made = order(form)
    except NotSubmitted as error:
        form.refuse(error)
        return shown(request, TEMPLATE, form, 422)
    warn_of_rental(request, rental.warning(made[0]))
    if len(made) == 1:
        return redirect(made[0])
    messages.success(request, f"{len(made)} evaluations are queued.")
    return redirect("evaluations:list")
