"""It stands here, beside the rules, since it keeps one with --every-checkpoint-of."""

import uuid as uuids
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandError

from evaluations.automatic import services
from evaluations.automatic.forms import RuleForm
from evaluations.ordering.forms import EvaluateForm
from evaluations.ordering.management.options import add_options, filled
from evaluations.ordering.services import order
from jobs.launch.management.submitting import add_wait_option, show_submitted, wait
from jobs.launch.submit import NotSubmitted
from jobs.management.base import as_json, as_line, find_job, find_user
from jobs.models import Job, Place
from platform_site.commands import FieldError, FormError, JsonCommand
from platform_site.counts import counted
from surgery.making.checks import SurgeryError
from surgery.making.management.base import machine_of
from surgery.making.offered import chosen
from surgery.making.trying import in_words, look


class Command(JsonCommand):
    help = "Evaluate models by jobs on their machine: the answers, the loss, or tasks of lm-eval."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("models", nargs="*", metavar="MODEL",
                            help="an artifact's number, a folder, or a hub name")  # fmt: skip
        parser.add_argument("--every-checkpoint-of", type=int, metavar="JOB",
                            help="of this run, also those that it saves later")  # fmt: skip
        parser.add_argument("--adapter", default="", help="a folder of an adapter on the model")
        add_options(parser)
        parser.add_argument("--name", default="", help="the new job's name")
        parser.add_argument("--machine", default="", help="where the models lie (default: here)")
        parser.add_argument("--check", action="store_true", help="make no job, only check")
        parser.add_argument("--user", default="", help="who asks (default: first administrator)")
        add_wait_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        owner = find_user(options["user"])
        data = filled(options) | {"uuid": uuids.uuid4(), "name": options["name"]}
        if options["every_checkpoint_of"] is not None:
            self._every(owner, data, options)
            return
        places = _places(owner, options["models"])
        machine = machine_of(options["machine"]) if options["machine"] or not places else None
        data |= {
            "machine": machine.pk if machine else next(iter(places.values())).machine_id,
            "more_models": "\n".join(
                places[name].path if name in places else name for name in options["models"]
            ),
            "adapter": options["adapter"],
        }
        form = checked(EvaluateForm(owner, [], data))
        if options["check"]:
            self._check(form, options)
            return
        try:
            made = order(form)
        except NotSubmitted as error:
            raise CommandError(str(error)) from error
        self._show(options, made)

    def _show(self, options: dict[str, Any], made: Sequence[Job]) -> None:
        """One as each command that submits; several as a list."""
        if len(made) == 1:
            show_submitted(self, options, made[0])
            return
        if options["wait"]:
            for job in made:
                wait(job)
        self.show(options, [as_json(job) for job in made], "\n".join(map(as_line, made)))

    def _check(self, form: EvaluateForm, options: dict[str, Any]) -> None:
        machine = form.cleaned_data["machine"]
        try:
            seen = [look(spec, machine) for spec in form.specs]
        except SurgeryError as error:
            raise CommandError(str(error)) from error
        specs = [spec.to_json() for spec in form.specs]
        data = {"kind": form.spec.kind, "machine": machine.name, "specs": specs}
        data["seen"] = [*map(dict, seen)]
        text = f"{form.default_name()}: nothing speaks against it. {in_words(seen[0])}"
        self.show(options, data, text)

    def _every(self, owner: User, data: dict[str, Any], options: dict[str, Any]) -> None:
        if options["models"] or options["check"]:
            raise FieldError("every_checkpoint_of", "--every-checkpoint-of goes with no model, and "
                             "not with --check.")  # fmt: skip
        run = find_job(options["every_checkpoint_of"])
        if "checkpoints" not in run.job_kind.panels:
            raise FieldError("every_checkpoint_of", f"Job {run.pk} saves no checkpoints.")
        form = RuleForm(owner, run, data)
        checked(form)
        rule, made = services.begin(form)
        jobs = [as_json(job) for job in made]
        queued = counted(len(made), "evaluation")
        text = f"Every checkpoint of {run.name} is evaluated: {queued} queued now."
        self.show(options, {"rule": str(rule.uuid), "run": run.pk, "jobs": jobs}, text)


def checked(form: EvaluateForm) -> EvaluateForm:
    """Raises ``FormError``."""
    if not form.is_valid():
        said = " ".join(str(told) for each in form.errors.values() for told in each)
        raise FormError(said, form)
    return form


def _places(user: User, models: Sequence[str]) -> dict[str, Place]:
    """Where the artifacts lie that are named by their numbers. Raises ``FieldError``."""
    numbers = [name for name in dict.fromkeys(models) if name.isascii() and name.isdecimal()]
    found = {str(place.artifact_id): place for place in chosen(user, numbers)}
    for number in numbers:
        if str(int(number)) not in found:
            raise FieldError("models", f"There is no whole model or checkpoint {number}. "
                             "manage.py artifacts lists them.")  # fmt: skip
    return {number: found[str(int(number))] for number in numbers}
