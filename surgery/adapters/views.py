from django.http import HttpResponse
from django.views.decorators.http import require_http_methods

from jobs.models import Artifact
from platform_site.htmx import HtmxHttpRequest
from surgery.adapters.forms import LoraExtractForm, LoraMergeForm
from surgery.making.offered import SAVED, offered, with_adapters
from surgery.making.views import answered, begun, listed, shown

MERGE, EXTRACT = "surgery/adapters/merge.html", "surgery/adapters/extract.html"


@require_http_methods(["GET", "POST"])
def lora_merge(request: HtmxHttpRequest) -> HttpResponse:
    """The form of a merge of adapters. Adapters of ``?from=`` are chosen, and a model as base."""
    user = request.user
    if request.method == "POST":
        options = offered(user, SAVED, also=listed(request.POST, "base"))
        adapters = with_adapters(user, also=listed(request.POST, "adapters"))
        return answered(request, MERGE, LoraMergeForm(user, options, adapters, request.POST))
    initial, places = begun(request)
    paths = {True: list[str](), False: list[str]()}
    for place in places:
        paths[place.artifact.kind == Artifact.Kind.ADAPTER].append(place.path)
    initial |= {"adapters": paths[True], "base": paths[False][0] if paths[False] else ""}
    options = offered(user, SAVED, also=paths[False][:1])
    adapters = with_adapters(user, also=paths[True])
    return shown(request, MERGE, LoraMergeForm(user, options, adapters, initial=initial))


@require_http_methods(["GET", "POST"])
def lora_extract(request: HtmxHttpRequest) -> HttpResponse:
    """The form of an extraction. The first two artifacts of ``?from=`` are base and trained."""
    if request.method == "POST":
        also = listed(request.POST, "base", "tuned")
        form = LoraExtractForm(request.user, offered(request.user, SAVED, also=also), request.POST)
        return answered(request, EXTRACT, form)
    initial, places = begun(request)
    paths = [place.path for place in places]
    both = dict(zip(("base", "tuned"), paths, strict=False))
    options = offered(request.user, SAVED, also=paths)
    form = LoraExtractForm(request.user, options, initial=initial | both)
    return shown(request, EXTRACT, form)
