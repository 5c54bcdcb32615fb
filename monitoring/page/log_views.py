"""The log of a run: as a file, a line of it, and a search through all of it."""

from collections.abc import AsyncIterator
from typing import Any

from asgiref.sync import sync_to_async
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from jobs.models import Job
from monitoring.logs.search import Stretch
from monitoring.page import live, log_search
from monitoring.page.log_forms import LogForm
from monitoring.page.views import get_job
from platform_site.bounded.limits import TooMuch
from platform_site.fields import asked_key
from platform_site.htmx import HtmxHttpRequest

BLOCK = 1 << 20
HITS, MOST_HITS = 100, 500  # of one stretch, and of a page, which then leads on to the next
AT_FIRST = 0.4  # seconds until a page shows what was found; it goes on by itself
WITHOUT_SCRIPT = 5.0


@require_GET
def log(request: HtmxHttpRequest, pk: int) -> StreamingHttpResponse:
    job = get_job(request, pk)
    attempt = attempt_of(request, job)
    name = f"run-{job.pk}.log" if attempt == job.attempt else f"run-{job.pk}-attempt-{attempt}.log"
    return StreamingHttpResponse(
        whole_log(job, attempt),
        content_type="text/plain; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def attempt_of(request: HtmxHttpRequest, job: Job) -> int:
    """The attempt that the address names, or the newest."""
    if "attempt" not in request.GET:
        return job.attempt
    attempt = asked_key(request.GET["attempt"])
    if attempt is None or not 1 <= attempt <= job.attempt:
        raise Http404("The job has no such attempt.")
    return attempt


async def whole_log(job: Job, attempt: int) -> AsyncIterator[bytes]:
    """Block by block: a log may be larger than memory."""
    offset = 0
    while data := await sync_to_async(live.read_log)(job, offset, BLOCK, attempt):
        yield data
        offset += len(data)


@require_GET
def log_line(request: HtmxHttpRequest, pk: int, at: int) -> HttpResponse:
    """The line of the log in which a byte lies, as the page of a failed run links to it."""
    job = get_job(request, pk)
    attempt = attempt_of(request, job)
    context = {"job": job, "log": live.log_around(job, at, attempt), "attempt": attempt}
    return render(request, "monitoring/page/log_line.html", context)


@require_GET
@vary_on_headers("HX-Request")
def search(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """What is looked for in the whole log. With htmx a page asks for one stretch after another."""
    job = get_job(request, pk)
    form = LogForm(job, request.GET)
    is_right = form.is_valid()
    context: dict[str, Any] = {"job": job, "form": form}
    try:
        if is_right and "first" in request.GET:
            if error := log_search.first_error(job, form.attempts):
                return redirect(line_url(job, error[0], error[1].start))
            context["nothing"] = "No line of the log tells of an error."
        elif is_right:
            context |= found_by(job, form, is_part=bool(request.htmx))
    except FileNotFoundError:
        context["nothing"] = "There is no log yet."
    except (OSError, TooMuch) as error:
        context["problem"] = f"The log could not be searched. {error}"
    goes_on = form.cleaned_data.get("start") or form.cleaned_data.get("of")
    part = ("#rows" if goes_on else "#found") if request.htmx else ""
    status = 200 if is_right else 422
    return render(request, f"monitoring/page/log_search.html{part}", context, status=status)


def found_by(job: Job, form: LogForm, *, is_part: bool) -> dict[str, Any]:
    """What the next stretch has, and where the search goes on."""
    given, question = form.cleaned_data, form.question()
    start, shown = given["start"] or 0, given["shown"] or 0
    if not question.patterns:
        return {"nothing": "Say what to look for: words, a level, a rank or an actor."}
    attempts = form.attempts
    attempt = given["of"] if given["of"] in attempts else attempts[0]
    following = attempts[attempts.index(attempt) + 1 :]
    seconds = (log_search.AT_ONCE if start else AT_FIRST) if is_part else WITHOUT_SCRIPT
    try:
        found = log_search.stretch(
            job, question, attempt=attempt, start=start, line=given["line"] or 1,
            most=HITS if is_part else MOST_HITS, seconds=seconds,
        )  # fmt: skip
    except FileNotFoundError:
        if len(attempts) == 1:
            raise
        found = Stretch(0, 1, 0, True)  # it did not begin, or its log is gone
    shown += len(found.hits)
    leads_on = found.is_whole and bool(following)
    return {
        "found": found,
        "hits": [(hit, line_url(job, attempt, hit.start)) for hit in found.hits],
        "attempt": attempt if len(attempts) > 1 else None,
        "begins": not start,
        # Where the search goes on.
        "next": (following[0], 0, 1) if leads_on else (attempt, found.end, found.line),
        "leads_on": leads_on,
        "shown": shown,
        "is_full": shown >= MOST_HITS,
        "follows": found.is_whole and not leads_on and log_search.grows(job, attempt),
        "percent": 100 * found.end / found.size if found.size else 100,
    }


def line_url(job: Job, attempt: int, start: int) -> str:
    """The page of a line of an attempt's log."""
    of = "" if attempt == job.attempt else f"?attempt={attempt}"
    return f"{reverse('monitoring:log_line', args=[job.pk, start])}{of}#line"
