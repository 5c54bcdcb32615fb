from datetime import timedelta
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from compute.machines.runners import runner_for
from compute.runners.base import RunnerError
from jobs.launch import command as commands
from jobs.models import NEEDS_ATTENTION, Job
from jobs.recipebook.book import warnings_of
from monitoring.page import hardware, panels, shown
from platform_site.fields import asked
from platform_site.htmx import HtmxHttpRequest

FIGURES = 100  # of one page


def rail(request: HttpRequest) -> dict[str, Any]:
    """Counts beside the menu, for every page of someone who is logged in."""
    if not request.user.is_authenticated:
        return {}
    mine = Job.objects.visible_to(request.user).shown()
    today = timezone.now() - timedelta(days=1)
    return {
        "rail": {
            "active": mine.active().count(),
            "attention": mine.filter(status__in=NEEDS_ATTENTION, ended_at__gt=today).count(),
        }
    }


@require_GET
def dashboard(request: HtmxHttpRequest) -> HttpResponse:
    return render(request, "monitoring/page/dashboard.html", shown.board(request.user))


@require_GET
def run(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    return render(
        request, "monitoring/page/run.html", run_context(get_job(request, pk), request.user)
    )


def run_context(job: Job, viewer: Any) -> dict[str, Any]:
    """Everything on a job's page. Read in this order, so that what comes later is newer."""
    command, problem = command_context(job)
    return {
        **shown.page_context(job, viewer),
        **command,
        "warnings": warnings_of(job),
        "problem": problem or problem_of(job),
    }


def command_context(job: Job) -> tuple[dict[str, Any], str]:
    """The command with its settings, or why there is none (any more)."""
    if job.job_kind.ran_elsewhere:
        return {"command": "", "overrides": []}, ""
    try:
        script, settings = commands.script_of(job), commands.command_of(job).settings
    except ValueError as error:
        return {"command": "", "overrides": []}, str(error)
    rows = [{"key": s.key, "value": s.text.partition("=")[2], "origin": s.origin} for s in settings]
    return {"command": script, "overrides": rows}, ""


def problem_of(job: Job) -> str:
    if not job.machine.is_local:
        return far_problem(job)
    if job.started_at and not runner_for(job.machine).exists(job.run_dir):
        return f"The run directory {job.run_dir} is not there. What was read before is shown."
    return ""


def far_problem(job: Job) -> str:
    """A far machine is not asked by a page: what the watcher knows of it is shown."""
    since = job.machine.unreachable_since
    if since is None or job.has_ended:
        return ""
    when = timezone.localtime(since).strftime("%Y-%m-%d %H:%M:%S %Z")
    return (
        f"{job.machine} is unreachable since {when}: {job.machine.why_unreachable} "
        "What was known before is shown; the run goes on there, or not, without us."
    )


@require_GET
def checkpoints(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """The list alone, asked again while one of them comes here."""
    context = panels.checkpoints(get_job(request, pk))
    return render(request, f"{panels.template_of('checkpoints')}#part", context)


@require_GET
@vary_on_headers("HX-Request")
def figures_list(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """All figures of a run, a page at a time: there may be ten thousand."""
    job, words = get_job(request, pk), asked(request.GET.get("q"))
    rows = job.series.filter(name__icontains=words) if words else job.series.all()
    page = Paginator(rows, FIGURES).get_page(request.GET.get("page"))
    context = {"job": job, "words": words, "page": page}
    part = "#table" if request.htmx else ""
    return render(request, f"monitoring/page/figures.html{part}", context)


@require_GET
def system(request: HtmxHttpRequest, pk: int) -> JsonResponse:
    return JsonResponse(hardware.history(get_job(request, pk)))


@require_GET
def stack(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Where the run's processes stand now; it takes a moment, and the machine must answer."""
    job = get_job(request, pk)
    text = ""
    if job.is_active:
        try:
            text = runner_for(job.machine).stack(job.run_dir)
        except RunnerError as error:
            text = str(error)
    return render(request, "monitoring/page/stack.html", {"job": job, "text": text})


def get_job(request: HtmxHttpRequest, pk: int) -> Job:
    jobs = Job.objects.visible_to(request.user).select_related(
        "machine", "owner", "after", "dataset_version__dataset"
    )
    return get_object_or_404(jobs, pk=pk)
