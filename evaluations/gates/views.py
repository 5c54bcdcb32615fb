"""The gate of a job: set, changed, removed."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from evaluations.gates import services
from evaluations.gates.forms import GateForm
from jobs.models import Gate
from jobs.requests import get_job
from platform_site.htmx import HtmxHttpRequest


@require_http_methods(["GET", "POST"])
def gate(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    job = get_job(request, pk)
    who = request.user.get_username()
    if request.method == "POST" and request.POST.get("action") == "remove":
        if services.remove_gate(job, who=who):
            messages.success(request, f"{job.name} starts without a gate.")
        return redirect(job)
    form = GateForm(request.user, request.POST or None)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            made = services.set_gate(job, given["on"], form.limit, given["other"], who=who)
        except services.NotSet as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"{job.name} starts if {made.words}.")
            return redirect(job)
    kept = Gate.objects.filter(job=job).first()
    context = {"job": job, "form": form, "kept": kept}
    status = 422 if form.errors else 200
    return render(request, "evaluations/gates/gate.html", context, status=status)
