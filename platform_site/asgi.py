import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "platform_site.settings")
django.setup(set_prefix=False)  # this call loads the apps; imports of models must follow it

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402

from monitoring.page.routing import urlpatterns  # noqa: E402
from platform_site.bodies import PageHandler  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": PageHandler(),
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(urlpatterns))),  # type: ignore[arg-type]
    }
)
