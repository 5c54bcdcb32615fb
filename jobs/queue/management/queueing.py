"""What the commands that change the queue share."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandError
from django.forms import Form

from jobs.management.base import add_verb_arguments, as_json, find_job, find_user
from jobs.models import Job
from jobs.queue.state import reason_of
from jobs.queue.verbs import QueueError
from platform_site.commands import FormError, JsonCommand


class QueueCommand(JsonCommand):
    """A verb on one waiting job; prints its place and why it waits."""

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        add_verb_arguments(parser)

    def act(self, job: Job, by: User, options: dict[str, Any]) -> bool:
        """Do it; false when it was so already."""
        raise NotImplementedError

    def handle(self, *args: Any, **options: Any) -> None:
        job, by = find_job(options["id"]), find_user(options["user"])
        try:
            changed = self.act(job, by, options)
        except QueueError as error:
            raise CommandError(str(error)) from None
        job = find_job(job.pk)
        place, reason = job.queue_position, reason_of(job)
        data = {"changed": changed, "place": place, "waits": reason, **as_json(job)}
        before = "" if changed else "It was so already. "
        self.show(options, data, f"{before}Job {job.pk} is number {place} in line. {reason}")


def read(form: Form) -> dict[str, Any]:
    if not form.is_valid():
        told = " ".join(str(e) for errors in form.errors.values() for e in errors)
        raise FormError(told, form)
    return form.cleaned_data
