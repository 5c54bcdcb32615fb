"""Where a Prometheus asks, with the token of the settings or as somebody who is logged in."""

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from jobs.models import Job
from monitoring.page.exposition import CONTENT_TYPE, exposition

REFUSED = 'Send the token of TRAINYARD_METRICS_TOKEN as "Authorization: Bearer TOKEN", or log in.\n'


@login_not_required
@require_GET
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """With the token all jobs are told of; to a user, those that the user may see."""
    if has_token(request):
        return HttpResponse(exposition(Job.objects.all()), content_type=CONTENT_TYPE)
    if request.user.is_authenticated:
        jobs = Job.objects.visible_to(request.user)
        return HttpResponse(exposition(jobs), content_type=CONTENT_TYPE)
    headers = {"WWW-Authenticate": "Bearer"}
    return HttpResponse(REFUSED, status=401, headers=headers, content_type="text/plain")


def has_token(request: HttpRequest) -> bool:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    wanted = settings.TRAINYARD_METRICS_TOKEN
    return bool(wanted) and scheme.lower() == "bearer" and constant_time_compare(token, wanted)
