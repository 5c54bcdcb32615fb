from django.http import HttpResponse
from django.views.decorators.http import require_http_methods

from platform_site.htmx import HtmxHttpRequest
from surgery.conversions.forms import ConvertForm
from surgery.making.offered import SAVED, offered
from surgery.making.views import answered, begun, listed, shown

TEMPLATE = "surgery/conversions/new.html"


@require_http_methods(["GET", "POST"])
def convert_new(request: HtmxHttpRequest) -> HttpResponse:
    """The form of a conversion. The artifact of ``?from=`` is chosen."""
    if request.method == "POST":
        also = listed(request.POST, "source")
        form = ConvertForm(request.user, offered(request.user, SAVED, also=also), request.POST)
        return answered(request, TEMPLATE, form)
    initial, places = begun(request)
    paths = [place.path for place in places[:1]]
    options = offered(request.user, SAVED, also=paths)
    source = {"source": paths[0]} if paths else {}
    return shown(request, TEMPLATE, ConvertForm(request.user, options, initial=initial | source))
