from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from jobs.verl.glossary import found, meaning
from jobs.verl.releases import RELEASES
from platform_site.fields import asked
from platform_site.htmx import HtmxHttpRequest


@require_GET
@vary_on_headers("HX-Request")
def glossary(request: HtmxHttpRequest) -> HttpResponse:
    """What verl's metrics mean: all, or those that are searched for."""
    words, release = _asked(request)
    context = {
        "entries": found(words, release),
        "words": words,
        "release": release,
        "releases": RELEASES,
    }
    part = "#entries" if request.htmx else ""
    return render(request, f"monitoring/glossary/glossary.html{part}", context)


@require_GET
@cache_control(private=True, max_age=600)
def tip(request: HtmxHttpRequest) -> HttpResponse:
    """What one metric means in a release, for a page that names it."""
    name, release = asked(request.GET.get("name")), _release(request)
    context: dict[str, Any] = {"name": name, "release": release, "entry": meaning(name)}
    return render(request, "monitoring/glossary/tip.html", context)


def _asked(request: HtmxHttpRequest) -> tuple[str, str]:
    return asked(request.GET.get("q")), _release(request)


def _release(request: HtmxHttpRequest) -> str:
    """The release that was asked for; empty for one that there is not."""
    release = asked(request.GET.get("release"))
    return release if release in RELEASES else ""
