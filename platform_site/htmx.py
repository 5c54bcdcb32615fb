"""The request type that htmx adds, and a login redirect that replaces the whole page."""

from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import resolve_url
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails


class HtmxHttpRequest(HttpRequest):
    htmx: HtmxDetails
    user: User  # LoginRequiredMiddleware lets no one else through


class LoginRedirectMiddleware:
    """When htmx asked for a part of a page, make a login redirect replace the whole page."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HtmxHttpRequest) -> HttpResponse:
        response = self.get_response(request)
        location = response.headers.get("Location", "")
        if request.htmx and urlsplit(location).path == resolve_url(settings.LOGIN_URL):
            return HttpResponseClientRedirect(resolve_url(settings.LOGIN_URL))
        return response
