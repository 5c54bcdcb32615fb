from argparse import ArgumentParser
from typing import Any

from compute.models import Machine
from compute.sizing.gpus import UnknownGpu, find
from jobs.fit import asking
from jobs.fit.guarded import guarded
from jobs.fit.services import NotKnown, QuestionError
from jobs.launch import submit
from jobs.management.base import find_user, sets_of
from jobs.order.forms import JobForm, form_data
from jobs.order.knob_fields import shown
from jobs.order.management.base import add_recipe_arguments, checked_form
from jobs.plan import report, services
from jobs.plan.forms import LABELS, MOST_GPUS
from jobs.recipebook.management.base import find_recipe
from jobs.verl import planning
from jobs.verl.knobs import number
from jobs.verl.planning import Asked, Plan
from platform_site.commands import FieldError, JsonCommand


class Command(JsonCommand):
    help = "Search the settings of a job for those that fit its GPUs and serve a goal best."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        add_recipe_arguments(parser)
        parser.add_argument("--goal", choices=list(LABELS), default="fastest")
        parser.add_argument("--gpu", default="", help="a card of manage.py gpus (the machine's)")
        parser.add_argument("--machine", default="", help="whose cards (default: the recipe's)")
        parser.add_argument("--gpus", type=int, help="how many of them (the recipe's number)")
        parser.add_argument(
            "--draft", action="store_true", help="save the job with the best settings as a draft"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        user = find_user(options["user"])
        recipe = find_recipe(options["recipe"], user)
        machine, sets = asking.machine_of(options), sets_of(options)
        if machine:
            sets = [*sets, f"machine={machine.name}"]
        data = form_data(recipe, options["name"], sets)
        form = JobForm(recipe, user, data)
        _ = form.errors  # the fields that can be read are read by looking for errors
        try:
            asked = _asked(form, options, machine)
            with guarded("The search for a plan"):
                found = planning.plan(asked)
        except (NotKnown, QuestionError) as error:
            raise FieldError(error.field, str(error)) from None
        told = report.as_json(found)
        if options["draft"]:
            told["draft"] = self._draft(form, data, found)
        self.show(options, told, report.as_text(told))

    def _draft(self, form: JobForm, data: dict[str, Any], found: Plan) -> int:
        if not found.offers:
            raise FieldError("draft", "Nothing fits: no draft was saved.")
        spec = found.offers[0].spec
        given = {name: shown(value) for name, value in spec.values.items()}
        filled = {**data, **given, "overrides": "\n".join(spec.overrides)}
        ready = checked_form(form.recipe, form.user, filled)
        return submit.submit(ready.order(), start=False).pk


def _asked(form: JobForm, options: dict[str, Any], named: Machine | None) -> Asked:
    gpus, gpu = options["gpus"], options["gpu"]
    if gpus is not None and not 1 <= gpus <= MOST_GPUS:
        raise FieldError("gpus", f"{gpus} GPUs: write a number from 1 to {MOST_GPUS:,}.")
    try:
        slug = find(gpu).slug if gpu else ""
    except UnknownGpu as error:
        raise FieldError("gpu", str(error)) from None
    if named:
        asking.check_room(named, asking.cards_there(named), gpus or number(form.spec, "gpus"))
    machine = named or form.cleaned_data.get("machine")
    return services.ask(form.spec, machine, options["goal"], slug, gpus)
