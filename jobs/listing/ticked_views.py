"""What the list's buttons ask of the jobs that are ticked in it."""

from collections.abc import Callable, Sequence

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from jobs.archive import services
from jobs.archive.forms import TickedForm
from jobs.archive.services import why_not_archived
from jobs.launch import end
from jobs.listing import marks
from jobs.listing.forms import TagTickedForm
from jobs.models import Job
from platform_site.htmx import HtmxHttpRequest

PAGES = {"compare": "compare:page", "delete": "jobs:delete", "stop": "jobs:stop_ticked"}
TAGGING = ("tag", "untag")


@require_POST
def ticked(request: HtmxHttpRequest) -> HttpResponse:
    action = request.POST.get("action", "")
    kind = TagTickedForm if action in TAGGING else TickedForm
    form = kind(request.user, request.POST)
    back = f"{reverse('jobs:list')}?{QueryDict(request.POST.get('query', '')).urlencode()}"
    if not form.is_valid():
        messages.error(request, form.first_error)
        return redirect(back)
    jobs: list[Job] = form.cleaned_data["job"]
    if action in PAGES:
        return redirect(f"{reverse(PAGES[action])}?{'&'.join(f'job={job.pk}' for job in jobs)}")
    if action in TAGGING:
        _tag(request, jobs, form.cleaned_data["tags"], action)
    elif action in ACTS:
        ACTS[action](request, jobs)
    return redirect(back)


def _tag(request: HtmxHttpRequest, jobs: Sequence[Job], tags: Sequence[str], action: str) -> None:
    done = 0
    for job in jobs:
        try:
            change = {"add" if action == "tag" else "remove": tags}
            done += marks.tag(job, **change, who=request.user.get_username())
        except ValidationError as error:
            messages.warning(request, error.message)
    told = "tagged" if action == "tag" else "without"
    messages.success(request, f"{done} of {len(jobs)} {told} {', '.join(tags)}.")


def _archive(request: HtmxHttpRequest, jobs: Sequence[Job]) -> None:
    left = [job for job in jobs if not services.archive(job, who=request.user.get_username())]
    if done := len(jobs) - len(left):
        messages.success(request, f"{done} of {len(jobs)} put into the archive.")
    for job in left:
        messages.warning(request, why_not_archived(job))


def _unarchive(request: HtmxHttpRequest, jobs: Sequence[Job]) -> None:
    done = sum(services.unarchive(job, who=request.user.get_username()) for job in jobs)
    messages.success(request, f"{done} of {len(jobs)} taken out of the archive.")


def _pin(request: HtmxHttpRequest, jobs: Sequence[Job]) -> None:
    done = sum(marks.pin(job, request.user, on=True) for job in jobs)
    messages.success(request, f"{done} of {len(jobs)} pinned: they stand first in your list.")


def _unpin(request: HtmxHttpRequest, jobs: Sequence[Job]) -> None:
    done = sum(marks.pin(job, request.user, on=False) for job in jobs)
    messages.success(request, f"{done} of {len(jobs)} not pinned any more.")


ACTS: dict[str, Callable[[HtmxHttpRequest, Sequence[Job]], None]] = {
    "archive": _archive,
    "unarchive": _unarchive,
    "pin": _pin,
    "unpin": _unpin,
}


@require_http_methods(["GET", "POST"])
def stop_ticked(request: HtmxHttpRequest) -> HttpResponse:
    """Asks once for all of them, and says which of them there is nothing to stop of."""
    form = TickedForm(request.user, request.POST if request.method == "POST" else request.GET)
    if not form.is_valid():
        messages.error(request, form.first_error)
        return redirect("jobs:list")
    jobs: list[Job] = form.cleaned_data["job"]
    can = [job for job in jobs if job.can_stop]
    if request.method == "GET":
        left = [job for job in jobs if not job.can_stop]
        return render(request, "jobs/listing/stop.html", {"jobs": can, "left": left})
    done = sum(end.stop(job, who=request.user.get_username()) for job in can)
    messages.success(request, f"{done} of {len(jobs)} asked to stop.")
    return redirect("jobs:list")
