"""A site of its own for the benchmarks, whose database this process opens as well."""

import os
from pathlib import Path

import django

from tests.e2e.site import Site


def open_home(home: Path) -> Site:
    for name in ("DATABASE_URL", "CHANNEL_REDIS_URL", "QUEUE_REDIS_URL"):
        os.environ.pop(name, None)
    os.environ |= {
        "TRAINYARD_HOME": str(home),
        "DJANGO_SETTINGS_MODULE": "platform_site.settings",
        "DJANGO_ALLOW_ASYNC_UNSAFE": "1",  # the browser driver keeps an event loop
    }
    site = Site(home)
    django.setup()
    return site


def cookie() -> str:
    """A session of the administrator, as the browser would hold it."""
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.auth.models import User
    from django.contrib.sessions.backends.db import SessionStore

    user = User.objects.get(username="admin")
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return str(session.session_key)


def cookie_name() -> str:
    from django.conf import settings

    return str(settings.SESSION_COOKIE_NAME)


def percentile(values: list[float], share: float) -> float:
    """The value below which ``share`` of the values lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
