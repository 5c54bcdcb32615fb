from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from jobs.artifacts.story import known_of
from jobs.launch import submit
from jobs.launch.submit import NotSubmitted
from jobs.management.base import as_json, as_line, find_job, find_user, sets_of, warn
from jobs.models import Job
from jobs.order import filling
from jobs.order.filling import NotTrainable
from jobs.order.forms import form_data, limits_of
from jobs.order.management.base import add_order_arguments, checked_form
from jobs.recipebook import book
from platform_site.commands import FieldError, JsonCommand


class Command(JsonCommand):
    help = "Make a new job with the settings of another. It is a draft unless --start is given."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=int)
        add_order_arguments(parser)
        parser.add_argument(
            "--on", type=int, metavar="STEP", help="train on its checkpoint of this step"
        )
        parser.add_argument("--start", action="store_true", help="put it into the queue at once")

    def handle(self, *args: Any, **options: Any) -> None:
        job, user = find_job(options["id"]), find_user(options["user"])
        if not job.job_kind.has_recipes:
            raise FieldError("id", f"Job {job.pk} is of the kind {job.kind}, which has no recipes.")
        base, filled = book.cloned_from(job, user)
        own = {"machine": job.machine_id, **limits_of(job)}
        sets = [*(f"{name}={value}" for name, value in own.items()), *on(job, options["on"])]
        sets += sets_of(options)
        data = form_data(filled, options["name"], sets) | {"cloned": job.pk}
        form = checked_form(base, user, data)
        if gone := book.known_part(job.spec_of_kind)[1]:
            self.stderr.write(f"Left out, since there is no such setting any more: {gone}.")
        try:
            copy = submit.submit(form.order(), start=options["start"])
        except NotSubmitted as error:
            raise CommandError(str(error)) from None
        self.show(options, as_json(copy) | {"warnings": warn(self, form.warnings)}, as_line(copy))


def on(job: Job, step: int | None) -> list[str]:
    """What sets the model to a checkpoint of the job. Raises ``CommandError``."""
    if step is None:
        return []
    saved = next((saved for saved in known_of(job) if saved.step == step), None)
    if saved is None:
        told = f"Job {job.pk} has no checkpoint of step {step}: see checkpoints."
        raise FieldError("on", told)
    try:
        model, _ = filling.model_in(saved.artifact)
    except NotTrainable as error:
        raise FieldError("on", str(error)) from None
    return [f"{job.job_kind.base_model}={model}"]
