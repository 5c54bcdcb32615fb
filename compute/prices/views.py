"""The price table. Everybody sees it; staff change it, as they do machines."""

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from compute.prices.forms import PriceForm
from platform_site.counts import counted
from platform_site.htmx import HtmxHttpRequest


@require_http_methods(["GET", "POST"])
def price_list(request: HtmxHttpRequest) -> HttpResponse:
    if request.method == "GET":
        return shown(request, PriceForm())
    if not request.user.is_staff:
        raise PermissionDenied("Only staff may change prices.")
    form = PriceForm(request.POST)
    if not form.is_valid():
        return shown(request, form, status=422)
    changed = form.save(who=request.user.get_username())
    text = f"{counted(changed, 'price')} kept." if changed else "No price was changed."
    messages.success(request, text)
    return redirect("compute:prices")


def shown(request: HtmxHttpRequest, form: PriceForm, status: int = 200) -> HttpResponse:
    context = {
        "form": form,
        "can_change": request.user.is_staff,
        "currency": settings.TRAINYARD_CURRENCY,
    }
    return render(request, "compute/prices/prices.html", context, status=status)
