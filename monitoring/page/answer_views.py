"""The answers of a run: the prompts of a step, and the answers to one prompt side by side."""

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from monitoring.answers.prompts import SIZE
from monitoring.page import answers as found
from monitoring.page.answer_forms import AnswersForm
from monitoring.page.views import get_job
from platform_site.bounded.limits import TooMuch
from platform_site.htmx import HtmxHttpRequest

LIST, PROMPT = "monitoring/page/answers.html", "monitoring/page/answers_prompt.html"


@require_GET
@vary_on_headers("HX-Request")
def answers(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    job, form = get_job(request, pk), AnswersForm(request.GET)
    is_right = form.is_valid()
    kind = form.kind_asked
    steps = found.steps_of(job, kind, form.cleaned_data.get("step"))
    context: dict[str, Any] = {
        "job": job,
        "form": form,
        "kind": kind,
        "steps": steps,
        "is_right": is_right,
        "is_filtered": any(request.GET.get(name) for name in ("q", "low", "high", "only")),
        "missing_step": missing_step(form, steps),
        "why_none": "" if steps.files else found.why_none(job, kind),
        "is_incomplete": found.is_incomplete(job),
        "lost": found.lost_in(job, steps),
        "sort": form.cleaned_data.get("sort", ""),
    }
    template = LIST
    try:
        if is_right and (key := form.cleaned_data["prompt"]):
            template, context["answers"] = PROMPT, found.prompt_asked(steps, key)
        elif is_right and (page := found.page_asked(steps, form)):
            numbers = Paginator(range(page.matching), SIZE)
            context |= {"found": page, "page": numbers.get_page(form.cleaned_data["page"] or 1)}
    except (OSError, TooMuch) as error:
        context["problem"] = problem_of(error)
    part = "#table" if request.htmx and template == LIST else ""
    return render(request, f"{template}{part}", context)


def missing_step(form: AnswersForm, steps: found.Steps) -> int | None:
    """The step that was asked for and has no answers."""
    asked = form.cleaned_data.get("step")
    is_there = steps.shown is None or asked is None or steps.shown.step == asked
    return None if is_there else asked


def problem_of(error: OSError | TooMuch) -> str:
    if isinstance(error, TooMuch):
        return f"The answers could not be searched. {error}"
    return f"The file of this step cannot be read: {error.strerror or error}."
