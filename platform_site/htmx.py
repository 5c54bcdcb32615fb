"""The request type that htmx adds, a login redirect that replaces the whole page, and HEAD."""

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


class HeadMiddleware:
    """Answer HEAD as GET: the server leaves out the body. No view has to think of it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method == "HEAD":
            request.method = "GET"
        return self.get_response(request)


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
