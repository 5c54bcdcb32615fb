"""The answers of several runs to the same prompts, side by side."""

from dataclasses import dataclass
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from jobs.colours import colour_of, dash_of
from jobs.kinds.registry import registry
from jobs.models import Job
from monitoring.answers.between import MOST_RUNS, Counts, Group
from monitoring.answers.prompts import SIZE
from monitoring.compare.question import found, question_of
from monitoring.page import between
from monitoring.page.answer_views import problem_of
from monitoring.page.between_forms import BetweenForm
from platform_site.bounded.limits import TooMuch
from platform_site.htmx import HtmxHttpRequest

LIST, PROMPT = "monitoring/compare/answers.html", "monitoring/compare/answers_prompt.html"
OFFERED = 50  # the newest jobs, offered for comparison


@dataclass(frozen=True)
class Head:
    """A run with its colour, and what was found of it."""

    beside: between.Beside
    found: Counts | Group | None = None

    @property
    def colour(self) -> int:
        return colour_of(self.beside.job.pk)

    @property
    def dash(self) -> int:
        return dash_of(self.beside.job.pk)


@require_GET
@vary_on_headers("HX-Request")
def answers(request: HtmxHttpRequest) -> HttpResponse:
    """The prompts that all runs have or, with a prompt, the answers to it."""
    question = question_of(request.GET)
    named = found(question, request.user)
    jobs = [*named.jobs[:MOST_RUNS]]
    form = BetweenForm(request.GET, jobs)
    is_right = form.is_valid()
    runs = between.runs_of(jobs, form.kind_asked, form.steps_asked if is_right else {})
    form.hold({one.job.pk: one.step for one in runs.beside})
    context: dict[str, Any] = {
        "named": named,
        "left_out": len(named.jobs) - len(jobs) + named.left_out,
        "most": MOST_RUNS,
        "runs": runs,
        "form": form,
        "is_right": is_right,
        "heads": [Head(one) for one in runs.beside],
        "sort": form.cleaned_data.get("sort", ""),
        "others": others(request, question.numbers),
    }
    template = LIST
    if is_right and runs.can_compare:
        template = asked(form, runs, context)
    part = "#table" if request.htmx and template == LIST else ""
    return render(request, f"{template}{part}", context)


def asked(form: BetweenForm, runs: between.Runs, context: dict[str, Any]) -> str:
    """Read what was asked for into the context; the template that shows it."""
    key = form.cleaned_data["prompt"]
    try:
        if key:
            context["groups"] = groups = between.prompt_asked(runs, key)
            if groups:
                context["heads"] = [*map(Head, runs.beside, groups.runs)]
        else:
            page = between.page_asked(runs, form.question(), form.other)
            numbers = Paginator(range(page.matching), SIZE)
            letters = [one.letter for one in runs.beside]
            context["found"] = page
            context["heads"] = [*map(Head, runs.beside, page.runs)]
            context["rows"] = [
                (row, [*zip(letters, row.figures, strict=True)]) for row in page.rows
            ]
            context["page"] = numbers.get_page(form.cleaned_data["page"] or 1)
    except (OSError, TooMuch) as error:
        context["problem"] = problem_of(error)
    return PROMPT if key else LIST


def others(request: HtmxHttpRequest, numbers: tuple[int, ...]) -> Any:
    """The newest runs that may have answers, for a choice."""
    kinds = [slug for slug, kind in registry().kinds.items() if kind.writes_answers]
    mine = Job.objects.visible_to(request.user).filter(kind__in=kinds)
    return mine.exclude(pk__in=numbers).select_related("machine")[:OFFERED]
