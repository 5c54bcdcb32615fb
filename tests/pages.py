"""Checks that apply to every page."""

import html
import re
from typing import Any

from django.db import connection
from django.http import HttpResponse, HttpResponseBase
from django.test import Client
from django.test.utils import CaptureQueriesContext

HTMX = {"HX-Request": "true"}
METHODS = ("get", "post", "put", "delete", "patch")


def asks_for_login(url: str, method: str = "get") -> bool:
    """Whether an anonymous request is sent to the login page, under htmx for the whole page."""
    plain = getattr(Client(), method)(url)
    part = getattr(Client(), method)(url, headers=HTMX)
    return bool(
        plain.status_code == 302
        and plain.headers["Location"].startswith("/accounts/login/?next=")
        and part.status_code == 200
        and part.headers["HX-Redirect"].startswith("/accounts/login/")
        and part.content == b""
    )


def refuses_other_methods(client: Client, url: str, *allowed: str) -> bool:
    """Whether all methods except the allowed ones get 405."""
    others = [method for method in METHODS if method not in allowed]
    return all(getattr(client, method)(url).status_code == 405 for method in others)


def command_in(response: HttpResponseBase) -> str:
    """The command in a form's page or preview."""
    text = response.content.decode() if isinstance(response, HttpResponse) else ""
    found = re.search(r'<pre id="preview-command"[^>]*>(.*?)</pre>', text, re.DOTALL)
    assert found, "no command is shown"
    return html.unescape(found[1])


def queries(client: Client, url: str, **options: Any) -> int:
    """The number of queries that the page makes."""
    with CaptureQueriesContext(connection) as captured:
        response = client.get(url, **options)
        assert response.status_code == 200
        # A stream makes its queries while it is read.
        _ = b"".join(response) if response.streaming else response.content
    return len(captured)
