"""What a run was made with: its configuration as a tree, its packages, hardware and relatives."""

from typing import Any

import yaml
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from jobs.models import Job
from jobs.provenance import shown
from jobs.provenance.reading import Attempt, attempts_of
from jobs.provenance.shown import Asked
from jobs.requests import get_job
from platform_site.fields import asked, asked_key
from platform_site.htmx import HtmxHttpRequest

DIFFERS = "differs"
ENDINGS = {"json": "application/json", "yaml": "application/yaml"}


@require_GET
@vary_on_headers("HX-Request")
def page(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    job, wanted = get_job(request, pk), asked_of(request)
    attempts = attempts_of(job)
    attempt = _chosen(job, attempts, wanted)
    context: dict[str, Any] = {"job": job, "attempt": attempt, "asked": wanted}
    context["tree"] = shown.tree_of(attempt, wanted)
    if request.htmx:
        return render(request, "jobs/provenance/page.html#tree", context)
    context |= shown.page(job, request.user, attempts, attempt)
    return render(request, "jobs/provenance/page.html", context)


@require_GET
def config(request: HtmxHttpRequest, pk: int, ending: str) -> HttpResponse:
    """The whole configuration as a file; without what only secrets are."""
    job = get_job(request, pk)
    attempt = _chosen(job, attempts_of(job), asked_of(request))
    if ending not in ENDINGS or not attempt.config:
        raise Http404("There is no such file.")
    if ending == "json":
        answer: HttpResponse = JsonResponse(dict(attempt.config))
    else:
        text = yaml.safe_dump(dict(attempt.config), sort_keys=False, allow_unicode=True)
        answer = HttpResponse(text, content_type=f"{ENDINGS[ending]}; charset=utf-8")
    return _named(answer, f"job-{pk}-attempt-{attempt.number}-config.{ending}")


@require_GET
def whole(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """All that is known of all attempts, as JSON."""
    job = get_job(request, pk)
    return _named(JsonResponse(shown.in_json(job, request.user)), f"job-{pk}-provenance.json")


def asked_of(request: HtmxHttpRequest) -> Asked:
    return Asked(
        attempt=asked_key(request.GET.get("attempt", "")),
        words=asked(request.GET.get("q")),
        only=request.GET.get("only") == DIFFERS,
    )


def _chosen(job: Job, attempts: dict[int, Attempt], wanted: Asked) -> Attempt:
    attempt = shown.chosen(attempts, job, wanted.attempt)
    if attempt is None:
        raise Http404("There is no such attempt.")
    return attempt


def _named(answer: HttpResponse, name: str) -> HttpResponse:
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer
