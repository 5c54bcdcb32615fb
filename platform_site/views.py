from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.templatetags.static import static


@login_not_required
def favicon(request: HttpRequest) -> HttpResponse:
    """Browsers ask for this name on every page that names no icon, such as the admin's."""
    return redirect(static("img/favicon.svg"))
