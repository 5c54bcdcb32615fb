"""The answers of a run: the prompts of a step, the answers to one side by side, and all steps."""

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods
from django.views.decorators.vary import vary_on_headers

from jobs.models import Job
from monitoring.answers.prompts import SIZE
from monitoring.page import answer_taking
from monitoring.page import answers as found
from monitoring.page.answer_forms import AnswersForm, TakeForm
from monitoring.page.views import get_job
from platform_site.bounded.limits import TooMuch
from platform_site.htmx import HtmxHttpRequest

LIST, PROMPT = "monitoring/page/answers.html", "monitoring/page/answers_prompt.html"
STEPS = "monitoring/page/answers_steps.html"
STEPS_SHOWN = 50  # of a page of the table


@require_http_methods(["GET", "POST"])
@vary_on_headers("HX-Request")
def answers(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """A POST does something with the answers that the address means."""
    job, form = get_job(request, pk), AnswersForm(request.GET)
    return take(request, job, form) if request.method == "POST" else shown(request, job, form)


def shown(
    request: HtmxHttpRequest, job: Job, form: AnswersForm, take: TakeForm | None = None
) -> HttpResponse:
    """``take`` is what was asked to be done with the answers, and could not be."""
    context = context_of(job, form)
    steps = context["steps"]
    context["take"] = take or TakeForm(initial={"name": answer_taking.name_for(job, steps)})
    template = LIST
    try:
        if context["is_right"] and (key := form.cleaned_data["prompt"]):
            template = PROMPT
            if asked := found.prompt_asked(job, steps, key):
                context["answers"], context["beside"] = asked
                there = {row.step for row in asked[1]}
                beside = [file for file in (steps.before, steps.after) if file]
                context["absent"] = [file for file in beside if file.step not in there]
        elif context["is_right"] and (page := found.page_asked(job, steps, form)):
            context["found"], context["check"] = page
            numbers = Paginator(range(page[0].matching), SIZE)
            context["page"] = numbers.get_page(form.cleaned_data["page"] or 1)
    except (OSError, TooMuch) as error:
        context["problem"] = problem_of(error)
    part = "#table" if request.htmx and template == LIST and not take else ""
    return render(request, f"{template}{part}", context, status=422 if take else 200)


def context_of(job: Job, form: AnswersForm) -> dict[str, Any]:
    """What all pages of answers show."""
    is_right = form.is_valid()
    steps = found.steps_of(job, form.kind_asked, form.cleaned_data.get("step"))
    return {
        "job": job,
        "form": form,
        "kind": form.kind_asked,
        "steps": steps,
        "is_right": is_right,
        "is_filtered": form.is_filtered,
        "missing_step": missing_step(form, steps),
        "why_none": "" if steps.files else found.why_none(job, form.kind_asked),
        "incomplete": found.incomplete(job),
        "lost": found.lost_in(job, steps),
        "sort": form.cleaned_data.get("sort", ""),
    }


@require_GET
@vary_on_headers("HX-Request")
def steps(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """How scores and lengths are spread over the run or, with a prompt, what that scored."""
    job, form = get_job(request, pk), AnswersForm(request.GET)
    context = context_of(job, form)
    try:
        if context["is_right"] and (key := form.cleaned_data["prompt"]):
            context["rows"] = found.prompt_over_asked(job, context["steps"], key)
        elif context["is_right"] and context["steps"].files:
            part = form.cleaned_data["part"]
            context["spread"] = spread = found.spread_asked(job, context["steps"], part)
            pages = Paginator(spread.rows[::-1], STEPS_SHOWN)
            context["page"] = pages.get_page(form.cleaned_data["page"] or 1)
    except (OSError, TooMuch) as error:
        context["problem"] = problem_of(error)
    part = "#spread" if request.htmx else ""
    return render(request, f"{STEPS}{part}", context)


def take(request: HtmxHttpRequest, job: Job, form: AnswersForm) -> HttpResponse:
    """Make a data set of the answers that the address means, or lead to another reward on them."""
    wanted = TakeForm(request.POST)
    if not form.is_valid() or not wanted.is_valid():
        return shown(request, job, form, wanted)
    try:
        if wanted.cleaned_data["do"] == "reward":
            return redirect(answer_taking.try_reward(job, form))
        return redirect(
            answer_taking.make_data_set(job, form, wanted.cleaned_data["name"], request.user)
        )
    except answer_taking.CannotTake as error:
        wanted.add_error("name" if wanted.cleaned_data["do"] == "data" else None, str(error))
        return shown(request, job, form, wanted)


def missing_step(form: AnswersForm, steps: found.Steps) -> int | None:
    """The step that was asked for and has no answers."""
    asked = form.cleaned_data.get("step")
    is_there = steps.shown is None or asked is None or steps.shown.step == asked
    return None if is_there else asked


def problem_of(error: OSError | TooMuch) -> str:
    if isinstance(error, TooMuch):
        return f"The answers could not be searched. {error}"
    return f"The file of this step cannot be read: {error.strerror or error}."
