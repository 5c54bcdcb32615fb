from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from jobs import resuming
from jobs.management.base import add_verb_arguments, as_json, find_job, find_user
from jobs.queue import rental
from platform_site.commands import JsonCommand


class Command(JsonCommand):
    help = "Let a run that was paused or ended early go on from a checkpoint, in a new attempt."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        add_verb_arguments(parser)
        parser.add_argument(
            "--from",
            dest="step",
            type=int,
            metavar="STEP",
            help="0 is the beginning; default: the newest whole one",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        job = find_job(options["id"])
        who = find_user(options["user"]).get_username()
        told = rental.warning_to_resume(job, options["step"])
        try:
            resumed = resuming.resume(job, who=who, step=options["step"])
        except resuming.NotResumed as error:
            raise CommandError(f"Job {job.pk} was not resumed. {error}") from None
        if not resumed:
            raise CommandError(f"Job {job.pk} is {job.status}: there is nothing to resume.")
        if told:
            self.stderr.write(told)
        self.show(options, as_json(job), f"Job {job.pk}: queued as attempt {job.attempt}.")
