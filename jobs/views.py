from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers
from django_htmx.http import HttpResponseClientRedirect

from jobs import lease_time, resuming, services
from jobs.forms import JobForm, RenameForm
from jobs.models import Job, JobQuerySet, Status
from jobs.preview import Preview
from jobs.recipebook import find_recipe, own_recipes
from jobs.verl.recipes import Recipe, all_recipes
from platform_site.htmx import HtmxHttpRequest

PAGE = 50
SORTS = {
    "name": ("name",),
    "kind": ("kind",),
    "status": ("status",),
    "created_at": ("created_at",),
    "started_at": ("started_at",),
    "duration": ("duration",),
}


@require_GET
@vary_on_headers("HX-Request")
def job_list(request: HtmxHttpRequest) -> HttpResponse:
    mine = Job.objects.visible_to(request.user)
    filters = {n: request.GET.get(n, "").replace("\0", "") for n in ("status", "kind", "q")}
    sort = request.GET.get("sort", "-created_at")
    if sort.removeprefix("-") not in SORTS:
        sort = "-created_at"
    jobs = filtered(mine, filters).with_duration().select_related("machine", "owner")
    query = request.GET.copy()
    query.pop("page", None)
    context = {
        "page": Paginator(jobs.order_by(sort, "-pk"), PAGE).get_page(request.GET.get("page")),
        "filters": filters,
        "sort": sort,
        "statuses": counted(mine, "status", Status.choices),
        "kinds": counted(mine, "kind", Job.Kind.choices),
        "query": query.urlencode(),
    }
    return render(request, "jobs/list.html" + ("#table" if request.htmx else ""), context)


def filtered(jobs: JobQuerySet, filters: dict[str, str]) -> JobQuerySet:
    if filters["status"] in Status.values:
        jobs = jobs.filter(status=filters["status"])
    if filters["kind"] in Job.Kind.values:
        jobs = jobs.filter(kind=filters["kind"])
    return jobs.filter(name__icontains=filters["q"]) if filters["q"] else jobs


def counted(
    jobs: QuerySet[Job], field: str, choices: list[tuple[str, Any]]
) -> list[tuple[str, str, int]]:
    rows = jobs.order_by().values_list(field).annotate(count=Count("pk"))
    counts = dict(rows)
    return [(value, str(label), counts.get(value, 0)) for value, label in choices]


@require_GET
def job_new(request: HtmxHttpRequest) -> HttpResponse:
    context = {"own": own_recipes(request.user), "recipes": list(all_recipes().values())}
    return render(request, "jobs/new.html", context)


@require_http_methods(["GET", "POST"])
def job_create(request: HtmxHttpRequest, slug: str) -> HttpResponse:
    recipe = get_recipe(request, slug)
    if request.method == "GET":
        form = JobForm(recipe, request.user)
        trial = JobForm(recipe, request.user, form.initial)
        return render(request, "jobs/form.html", {"form": form, **Preview(trial).context})
    form = JobForm(recipe, request.user, request.POST, is_final=True)
    if not form.is_valid():
        part = "#formbody" if request.htmx else ""
        context = {"form": form, **Preview(form).context}
        return render(request, "jobs/form.html" + part, context, status=422)
    job = services.submit(form.order(), start=request.POST.get("action") == "start")
    if job.status != Status.DRAFT:
        warn_of_lease(request, lease_time.warning(job))
    # A redirect would land inside the form: htmx is told to leave the page.
    return HttpResponseClientRedirect(job.get_absolute_url()) if request.htmx else redirect(job)


@require_POST
def job_preview(request: HtmxHttpRequest, slug: str) -> HttpResponse:
    form = JobForm(get_recipe(request, slug), request.user, request.POST)
    context = {"form": form, "oob": True, **Preview(form).context}
    return render(request, "jobs/form.html#preview", context)


@require_POST
def job_start(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    job = get_job(request, pk)
    if services.enqueue(job, who=request.user.get_username()):
        warn_of_lease(request, lease_time.warning(job))
    return redirect(job)


def warn_of_lease(request: HtmxHttpRequest, text: str) -> None:
    if text:
        messages.warning(request, text)


@require_http_methods(["GET", "POST"])
def job_stop(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    job = get_job(request, pk)
    if request.method == "GET":
        return render(request, "jobs/stop.html", {"job": job})
    who = request.user.get_username()
    if request.POST.get("save"):
        if not resuming.pause(job, who=who, then_stop=True):
            messages.error(request, f"{job.name} was not asked to save and stop: see its state.")
    else:
        services.stop(job, who=who)
    return redirect(job)


@require_POST
def job_rename(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    job = get_job(request, pk)
    form = RenameForm(request.POST)
    if form.is_valid():
        services.rename(job, form.cleaned_data["name"], who=request.user.get_username())
    else:
        messages.error(request, "; ".join(map(str, form.errors["name"])))
    return redirect(job)


@require_GET
def job_command(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    job = get_job(request, pk)
    return download(services.script_of(job), f"run-{job.pk}.sh")


@require_GET
def job_overrides(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    job = get_job(request, pk)
    lines = [setting.text for setting in services.command_of(job).settings]
    return download("\n".join(lines) + "\n", f"run-{job.pk}-overrides.txt")


def download(text: str, name: str) -> HttpResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(text, content_type="text/plain; charset=utf-8", headers=headers)


def get_job(request: HtmxHttpRequest, pk: int) -> Job:
    return get_object_or_404(Job.objects.visible_to(request.user), pk=pk)


def get_recipe(request: HtmxHttpRequest, slug: str) -> Recipe:
    recipe = find_recipe(slug, request.user)
    if recipe is None:
        raise Http404("There is no such recipe.")
    return recipe
