"""The settings that fit a job, from its form and back into it."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST

from jobs.fit.services import Cards, NotKnown, QuestionError
from jobs.models import Job
from jobs.order.filled_views import of_draft, whole
from jobs.order.forms import JobForm
from jobs.order.views import fresh, get_recipe
from jobs.plan import services
from jobs.plan.forms import PREFIX, PlanForm
from jobs.plan.shown import offers
from jobs.requests import get_job
from jobs.verl.knobs import BY_NAME
from jobs.verl.spec import TrainSpec
from platform_site.bounded.limits import TooMuch
from platform_site.htmx import HtmxHttpRequest

CARRIED = ("draft", "revision")  # of a draft that is edited, beside the fields of its form


@require_POST
def plan(request: HtmxHttpRequest, slug: str) -> HttpResponse:
    """The plan for a form as it stands, which is carried along and not saved."""
    job_form = JobForm(get_recipe(request, slug), request.user, request.POST)
    _ = job_form.errors  # the fields that can be read are read by looking for errors
    machine = job_form.cleaned_data.get("machine")
    cards = services.known_cards(machine)
    form = _form(request, job_form.spec, cards)
    context: dict[str, Any] = {"form": form, "recipe": job_form.recipe}
    context["carried"] = carried(request, job_form)
    if form.is_valid():
        try:
            found = services.plan(services.ask(job_form.spec, machine, **form.cleaned_data))
            context |= {"plan": found, "offers": list(offers(found, context["carried"]))}
        except (NotKnown, QuestionError) as error:
            form.add_error(*told_at(form, error))
        except TooMuch as error:
            form.add_error(None, f"The search was broken off. {error}")
    status = 422 if form.errors else 200
    return render(request, "jobs/plan/plan.html", context, status=status)


def _form(request: HtmxHttpRequest, spec: TrainSpec, cards: Cards | None) -> PlanForm:
    """What the user chose; before that, the machine's own cards and the form's number. Where these
    are not known, nothing is asked yet, and nothing is wrong."""
    usual = {
        "goal": "fastest",
        "gpu": cards.gpu.slug if cards else "",
        "gpus": spec.values.get("gpus", 1),
    }
    keys = {name: f"{PREFIX}-{name}" for name in usual}
    is_asked = cards is not None or keys["gpu"] in request.POST
    given = {key: request.POST.get(key, usual[name]) for name, key in keys.items()}
    return PlanForm(given if is_asked else None, usual, has_cards=cards is not None)


def told_at(form: PlanForm, error: NotKnown | QuestionError) -> tuple[str | None, str]:
    """The field of this page that an error is about, if it is one, and the sentence; a field of
    the job's own form is named in it."""
    if error.field in form.fields:
        return error.field, str(error)
    knob = BY_NAME.get(error.field)
    return None, f"{knob.label if knob else error.field or 'The job'}: {error}"


@require_POST
def fill(request: HtmxHttpRequest, slug: str) -> HttpResponse:
    """The form of a job with the values that were posted. Nothing is saved."""
    recipe = get_recipe(request, slug)
    posted = JobForm(recipe, request.user, request.POST)
    form = JobForm(recipe, request.user)
    form.initial = {
        name: _in_text(field.widget.value_from_datadict(request.POST, request.FILES, name))
        for name, field in posted.fields.items()
    }
    context = {**fresh(form), **_draft(request), "planned": True}
    return render(request, "jobs/order/form.html", context)


def _in_text(value: Any) -> Any:
    """Ticked boxes are one text, as a recipe has them."""
    return ",".join(value) if isinstance(value, list) else value


def carried(request: HtmxHttpRequest, form: JobForm) -> list[tuple[str, str]]:
    """Each value of the job's form, for hidden fields."""
    names = {*form.fields, *CARRIED}
    return [
        (name, value) for name, values in request.POST.lists() if name in names for value in values
    ]


def _draft(request: HtmxHttpRequest) -> dict[str, Any]:
    number = whole(request.POST.get("draft"))
    if not number:
        return {}
    job: Job = get_job(request, number)
    return of_draft(job, whole(request.POST.get("revision")))
