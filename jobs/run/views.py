"""What is asked of a run while it goes, and how it goes on after it ended early."""

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from jobs import resuming
from jobs.artifacts.story import known_of
from jobs.files import fetching
from jobs.files.fetching import FetchError
from jobs.launch import command, end, submit
from jobs.models import Job
from jobs.queue import rental
from jobs.requests import asked_step, get_job, warn_of_rental
from jobs.run.forms import RenameForm, ResumeForm, StepForm
from jobs.run.stopping import question_of
from platform_site.htmx import HtmxHttpRequest


@require_POST
def job_start(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    job = get_job(request, pk)
    try:
        if submit.enqueue(job, who=request.user.get_username()):
            warn_of_rental(request, rental.warning(job))
    except submit.NotSubmitted as error:
        messages.error(request, str(error))
    return redirect(job)


@require_http_methods(["GET", "POST"])
def job_stop(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    job = get_job(request, pk)
    if request.method == "GET":
        context = {"job": job, "stopping": question_of(job)}
        return render(request, "jobs/run/stop.html", context)
    who = request.user.get_username()
    if request.POST.get("save"):
        if not resuming.pause(job, who=who, then_stop=True):
            messages.error(request, f"{job.name} was not asked to save and stop: see its state.")
    else:
        end.stop(job, who=who)
    return redirect(job)


@require_POST
def job_pause(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    job = get_job(request, pk)
    if not resuming.pause(job, who=request.user.get_username()):
        messages.error(request, f"{job.name} was not paused. {why_not(job)}")
    return redirect(job)


@require_POST
def job_save(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    job = get_job(request, pk)
    if resuming.save_now(job, who=request.user.get_username()):
        messages.success(request, "It saves a checkpoint after this step, and goes on.")
    else:
        messages.error(request, f"{job.name} was not asked to save. {why_not(job)}")
    return redirect(job)


def why_not(job: Job) -> str:
    return job.cannot_save or f"It is {job.stands}."


@require_http_methods(["GET", "POST"])
def job_resume(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    job = get_job(request, pk)
    known = known_of(job)
    found = [saved for saved in known if saved.artifact.is_whole]
    form = ResumeForm(
        known, request.POST if request.method == "POST" else None, asked_step(request)
    )
    context = {
        "job": job,
        "form": form,
        "known": known,
        "found": found,
        "rental": job.machine.rental_closes,
    }
    if request.method == "GET":
        return render(request, "jobs/run/resume.html", context)
    if not form.is_valid():
        return render(request, "jobs/run/resume.html", context, status=422)
    who = request.user.get_username()
    step = form.cleaned_data["step"]
    told = rental.warning_to_resume(job, step)  # by its pace, which is forgotten then
    try:
        if resuming.resume(job, who=who, step=step):
            warn_of_rental(request, told)
        else:
            messages.error(request, f"{job.name} was not resumed: it is {job.stands}.")
    except resuming.NotResumed as error:
        messages.error(request, f"{job.name} was not resumed. {error}")
    return redirect(job)


@require_POST
def job_fetch(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Have a checkpoint brought here; a second press finds the first's transfer."""
    job = get_job(request, pk)
    form = StepForm(request.POST)
    if not form.is_valid():
        return render(request, "jobs/run/no_step.html", {"job": job, "form": form}, status=422)
    try:
        fetching.ask(job, form.cleaned_data["step"], who=request.user.get_username())
    except FetchError as error:
        messages.error(request, str(error))
    return to_checkpoints(job)


@require_POST
def job_fetch_cancel(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    job = get_job(request, pk)
    form = StepForm(request.POST)
    if not form.is_valid():
        return render(request, "jobs/run/no_step.html", {"job": job, "form": form}, status=422)
    step = form.cleaned_data["step"]
    if not fetching.cancel(job, step, who=request.user.get_username()):
        messages.info(request, f"No checkpoint of step {step} was on its way.")
    return to_checkpoints(job)


def to_checkpoints(job: Job) -> HttpResponse:
    return redirect(f"{job.get_absolute_url()}#run-checkpoints")


@require_http_methods(["GET", "POST"])
@vary_on_headers("HX-Request")
def job_rename(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """The form in the place of the name, on a job's page (``head``) and in the list; and the name
    again: the new one, or with ``kept`` the old one."""
    job = get_job(request, pk)
    is_post = request.method == "POST"
    form = RenameForm(request.POST if is_post else None)
    given = request.POST if is_post else request.GET
    context = {"job": job, "is_head": "head" in given, "typed": job.name}
    if is_post and form.is_valid():
        submit.rename(job, form.cleaned_data["name"], who=request.user.get_username())
        part = "renamed" if "head" in given else "name"
        return render(request, f"jobs/run/{part}.html", context) if request.htmx else redirect(job)
    if is_post:
        context |= {"typed": form.data.get("name", ""), "wrong": form.errors["name"][0]}
    part = "name" if "kept" in given else "name_form"
    template = f"jobs/run/{part}.html" if request.htmx else "jobs/run/rename.html"
    return render(request, template, context, status=422 if is_post else 200)


@require_GET
def job_command(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    job = get_job(request, pk)
    try:
        return download(command.script_of(job), f"run-{job.pk}.sh")
    except ValueError as error:
        raise Http404(str(error)) from error


@require_GET
def job_overrides(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    job = get_job(request, pk)
    try:
        lines = [setting.text for setting in command.command_of(job).settings]
    except ValueError as error:
        raise Http404(str(error)) from error
    return download("\n".join(lines) + "\n", f"run-{job.pk}-overrides.txt")


def download(text: str, name: str) -> HttpResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(text, content_type="text/plain; charset=utf-8", headers=headers)
