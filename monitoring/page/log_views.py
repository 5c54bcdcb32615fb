"""The log of a run: as a file, a line of it, and a search through all of it."""

from collections.abc import AsyncIterator
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from jobs.models import Job
from monitoring.page import live, log_search
from monitoring.page.log_forms import LogForm
from monitoring.page.views import get_job
from platform_site.bounded.limits import TooMuch
from platform_site.htmx import HtmxHttpRequest

BLOCK = 1 << 20
HITS, MOST_HITS = 100, 500  # of one stretch, and of a page, which then leads on to the next
AT_FIRST = 0.4  # seconds until a page shows what was found; it goes on by itself
WITHOUT_SCRIPT = 5.0


@require_GET
def log(request: HtmxHttpRequest, pk: int) -> StreamingHttpResponse:
    job = get_job(request, pk)
    return StreamingHttpResponse(
        whole_log(job),
        content_type="text/plain; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="run-{job.pk}.log"'},
    )


async def whole_log(job: Job) -> AsyncIterator[bytes]:
    """Block by block: a log may be larger than memory."""
    offset = 0
    while data := await sync_to_async(live.read_log)(job, offset, BLOCK):
        yield data
        offset += len(data)


@require_GET
def log_line(request: HtmxHttpRequest, pk: int, at: int) -> HttpResponse:
    """The line of the log in which a byte lies, as the page of a failed run links to it."""
    job = get_job(request, pk)
    found = live.log_around(job, at)
    return render(request, "monitoring/page/log_line.html", {"job": job, "log": found})


@require_GET
@vary_on_headers("HX-Request")
def search(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """What is looked for in the whole log. With htmx a page asks for one stretch after another."""
    job, form = get_job(request, pk), LogForm(request.GET)
    is_right = form.is_valid()
    context: dict[str, Any] = {"job": job, "form": form}
    try:
        if "first" in request.GET:
            if hit := log_search.first_error(job):
                at = reverse("monitoring:log_line", args=[job.pk, hit.start])
                return redirect(f"{at}#line")
            context["nothing"] = "No line of the log tells of an error."
        elif is_right:
            context |= found_by(job, form, is_part=bool(request.htmx))
    except FileNotFoundError:
        context["nothing"] = "There is no log yet."
    except (OSError, TooMuch) as error:
        context["problem"] = f"The log could not be searched. {error}"
    part = ("#rows" if form.cleaned_data.get("start") else "#found") if request.htmx else ""
    status = 200 if is_right else 422
    return render(request, f"monitoring/page/log_search.html{part}", context, status=status)


def found_by(job: Job, form: LogForm, *, is_part: bool) -> dict[str, Any]:
    """What the next stretch has, and where the search goes on."""
    given, question = form.cleaned_data, form.question()
    start, shown = given["start"] or 0, given["shown"] or 0
    if not question.patterns:
        return {"nothing": "Say what to look for: words, a level, a rank or an actor."}
    found = log_search.stretch(
        job, question, start=start, line=given["line"] or 1,
        most=HITS if is_part else MOST_HITS,
        seconds=(log_search.AT_ONCE if start else AT_FIRST) if is_part else WITHOUT_SCRIPT,
    )  # fmt: skip
    shown += len(found.hits)
    return {
        "found": found,
        "shown": shown,
        "is_full": shown >= MOST_HITS,
        "follows": found.is_whole and job.may_change,
        "percent": 100 * found.end / found.size if found.size else 100,
    }
