from argparse import ArgumentParser
from dataclasses import replace
from math import isfinite
from typing import Any

from django.core.management.base import CommandError

from compute.models import Machine
from compute.sizing.estimate import estimate
from compute.sizing.gpus import UnknownGpu, find
from jobs.fit import asking, report
from jobs.fit.guarded import guarded
from jobs.fit.lookups import Lookups
from jobs.fit.services import Cards, NotKnown, QuestionError, price_of, question_on
from jobs.management.base import add_set_argument, find_job, find_user, sets_of
from jobs.models import Job
from jobs.places import places
from jobs.recipebook.management.base import find_recipe
from jobs.verl.algorithms import labels
from jobs.verl.question import MOST_GPUS
from jobs.verl.spec import TrainSpec
from platform_site.commands import FieldError, JsonCommand

NODE = 8  # GPUs of a machine, where nobody says
OF_KNOBS = {"model_path": "model"}  # the argument that gives a knob


class Command(JsonCommand):
    help = "Estimate memory, time and cost of a training job on a card or on a machine."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--gpu", default="", help="a card: see manage.py gpus")
        parser.add_argument(
            "--machine", default="", help="its GPUs, memory and price (default: the job's)"
        )
        parser.add_argument(
            "--gpus", type=int, help="how many GPUs (default: the job's, else all of the machine)"
        )
        parser.add_argument(
            "--per-node", type=int, help=f"of them in each machine (default: {NODE})"
        )
        parser.add_argument(
            "--model",
            default="",
            help="a folder, a config.json, a name of the hub, or one of the catalogue: qwen3-8b",
        )
        parser.add_argument("--algorithm", choices=list(labels()), help="with verl's defaults")
        parser.add_argument("--recipe", default="", help="the settings of a recipe")
        parser.add_argument("--job", type=int, help="the settings of a job, by its number")
        add_set_argument(parser)
        parser.add_argument("--data", default="", help="whose lengths count: NAME[@VERSION]")
        parser.add_argument("--price", type=float, help="of one GPU for an hour")
        parser.add_argument("--user", default="", help="whose recipes (default: administrator)")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            told = _told(options)
        except FieldError as error:
            raise error if options["json"] else CommandError(_named(error, options)) from None
        for warning in told["warnings"]:
            self.stderr.write(f"Warning: {warning['message']}")
        self.show(options, told, report.as_text(told))


def _named(error: FieldError, options: dict[str, Any]) -> str:
    """What is wrong, after the argument that it is about."""
    field = error.problems[0]["field"]
    if not field:
        return str(error)
    option = f"--{field.replace('_', '-')}" if field in options else f"--set {field}"
    return f"{option}: {error}"


def _told(options: dict[str, Any]) -> dict[str, Any]:
    price = _price(options["price"])
    job = _job(options)
    spec = _spec(options, job)
    machine = _machine(options, job)
    cards = asking.cards_there(machine) if machine else _cards(options)
    spec = _with_gpus(spec, options["gpus"], machine, cards)
    model = asking.model_of(options["model"]) if options["model"] else None
    lookups = Lookups()
    if price is None:
        price = price_of(cards.gpu, machine, cards.count)
    try:
        with guarded("The estimate of a command"):
            question = question_on(spec, cards, model, lookups=lookups)
            found = estimate(question, price, lookups.correction(question))
    except (NotKnown, QuestionError) as error:
        raise FieldError(OF_KNOBS.get(error.field, error.field), str(error)) from None
    return report.as_json(question, found)


def _price(price: float | None) -> float | None:
    if price is not None and not (isfinite(price) and price >= 0):
        raise FieldError("price", f"A price of {price:g}: write what an hour costs, 0 or more.")
    return price


def _job(options: dict[str, Any]) -> Job | None:
    if options["job"] is None:
        return None
    if options["recipe"]:
        raise FieldError("recipe", "Give --job or --recipe, and not both.")
    try:
        return find_job(options["job"])
    except FieldError as error:
        raise FieldError("job", str(error)) from None


def _spec(options: dict[str, Any], job: Job | None) -> TrainSpec:
    spec = asking.with_sets(_begun(options, job), sets_of(options))
    return asking.with_data(spec, options["data"]) if options["data"] else spec


def _begun(options: dict[str, Any], job: Job | None) -> TrainSpec:
    """What the settings begin with: a job's, a recipe's, or verl's own defaults."""
    algorithm = options["algorithm"]
    if job:
        field, spec = "job", asking.spec_of_job(job)
    elif options["recipe"]:
        recipe = find_recipe(options["recipe"], find_user(options["user"]))
        field, spec = "recipe", recipe.spec(places())
    elif algorithm:
        return TrainSpec(algorithm)
    else:
        raise FieldError("algorithm", "Say what is estimated: --algorithm, --recipe or --job.")
    if algorithm and algorithm != spec.kind:
        raise FieldError("algorithm", f"The {field} is {spec.kind}, and not {algorithm}.")
    return spec


def _machine(options: dict[str, Any], job: Job | None) -> Machine | None:
    """The machine whose cards are meant: that which is named, or where no card is, the job's."""
    named = asking.machine_of(options)
    if (named or not options["gpu"]) and options["per_node"] is not None:
        raise FieldError("per_node", "A machine tells by itself how many GPUs each node has.")
    if named or options["gpu"]:
        return named
    if job is None:
        raise FieldError("gpu", "Say on what it is estimated: --gpu CARD or --machine NAME.")
    return job.machine


def _cards(options: dict[str, Any]) -> Cards:
    try:
        gpu = find(options["gpu"])
    except UnknownGpu as error:
        raise FieldError("gpu", str(error)) from None
    each = NODE if options["per_node"] is None else options["per_node"]
    if not 1 <= each <= MOST_GPUS:
        raise FieldError(
            "per_node", f"{each} GPUs in a machine: write a number from 1 to {MOST_GPUS:,}."
        )
    return Cards(gpu, each, MOST_GPUS)


def _with_gpus(
    spec: TrainSpec, gpus: int | None, machine: Machine | None, cards: Cards
) -> TrainSpec:
    """On so many GPUs: as many as is said, as the job has, or as the machine has."""
    if gpus is not None and not 1 <= gpus <= MOST_GPUS:
        raise FieldError("gpus", f"{gpus} GPUs: write a number from 1 to {MOST_GPUS:,}.")
    usual = spec.values.get("gpus", cards.count if machine else 1)
    count = usual if gpus is None else gpus
    if machine and isinstance(count, int):
        asking.check_room(machine, cards, count)
    return replace(spec, values={**spec.values, "gpus": count})
