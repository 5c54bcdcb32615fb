import uuid as uuids

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from evaluations.automatic import services
from evaluations.automatic.forms import RuleForm
from evaluations.models import Rule
from evaluations.ordering.forms import USUAL
from evaluations.ordering.views import BEGINS
from jobs.models import Job
from jobs.requests import get_job
from platform_site.counts import counted
from platform_site.htmx import HtmxHttpRequest

TEMPLATE = "evaluations/automatic/every.html"


@require_http_methods(["GET", "POST"])
def every(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """What is evaluated of each checkpoint of a run, and the form of a further rule."""
    run = get_job(request, pk)
    if "checkpoints" not in run.job_kind.panels:
        raise Http404("This job saves no checkpoints.")
    if request.method == "GET":
        initial = {name: getattr(USUAL, name) for name in BEGINS}
        form = RuleForm(request.user, run, initial={"uuid": uuids.uuid4(), **initial})
        return _shown(request, run, form)
    form = RuleForm(request.user, run, request.POST)
    if not form.is_valid():
        return _shown(request, run, form, 422)
    _, made = services.begin(form)
    more = " The others follow soon." if len(made) == services.AT_ONCE else ""
    queued = counted(len(made), "evaluation")
    messages.success(request, f"Every checkpoint is evaluated: {queued} queued now.{more}")
    return redirect("evaluations:every", run.pk)


def _shown(request: HtmxHttpRequest, run: Job, form: RuleForm, status: int = 200) -> HttpResponse:
    rules = Rule.objects.visible_to(request.user).filter(run=run).select_related("dataset_version")
    context = {"run": run, "form": form, "rules": rules}
    return render(request, TEMPLATE, context, status=status)


@require_POST
def stop(request: HtmxHttpRequest, pk: int, rule: int) -> HttpResponse:
    run = get_job(request, pk)
    rules = Rule.objects.visible_to(request.user).filter(run=run)
    services.end(get_object_or_404(rules, pk=rule))
    messages.success(request, "No further checkpoint is evaluated by this rule.")
    return redirect("evaluations:every", run.pk)
