"""What a user presses on pages, while the web may be killed."""

import urllib.error
import urllib.parse
import urllib.request
from http.client import HTTPException
from typing import Any

from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from platform_site.home import instance_name

TOKEN = "c" * 32


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


OPENER = urllib.request.build_opener(NoRedirect)


class Browser:
    """One in which a user is logged in."""

    def __init__(self, user: User, url: str) -> None:
        self.user, self.url, self.cookie = user, url, ""

    def post(self, path: str) -> None:
        """Press a button. Whether that arrived is not known: the web may be killed meanwhile."""
        name = instance_name(connection.settings_dict)
        if not self.cookie:
            client = Client()
            client.force_login(self.user)
            session = next(v.value for k, v in client.cookies.items() if k.endswith("session"))
            self.cookie = f"{name}-session={session}; {name}-csrf={TOKEN}"
        body = urllib.parse.urlencode({"csrfmiddlewaretoken": TOKEN}).encode()
        request = urllib.request.Request(  # noqa: S310 (ours)
            f"{self.url}{path}", body, {"Cookie": self.cookie}
        )
        try:
            OPENER.open(request, timeout=10).close()
        except urllib.error.HTTPError as error:
            if error.code != 302:
                raise
        except (OSError, HTTPException):
            pass
