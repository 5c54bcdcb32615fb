from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from jobs import resuming
from jobs.launch import end
from jobs.management.base import add_verb_arguments, as_json, find_job, find_user
from jobs.models import Job
from platform_site.commands import JsonCommand


class Command(JsonCommand):
    help = "Stop a job: SIGTERM, then SIGKILL after the grace period; --save keeps its work first."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        add_verb_arguments(parser)
        parser.add_argument("--save", action="store_true", help="save a checkpoint, then end")

    def handle(self, *args: Any, **options: Any) -> None:
        job = find_job(options["id"])
        who = find_user(options["user"]).get_username()
        if options["save"]:
            done = resuming.pause(job, who=who, then_stop=True)
        else:
            done = end.stop(job, who=who)
        if not done:
            raise CommandError(f"Job {job.pk} {why_not(job, saving=options['save'])}.")
        self.show(options, as_json(job), f"Job {job.pk}: stop asked, now {job.status}.")


def why_not(job: Job, *, saving: bool) -> str:
    if saving and job.cannot_save:
        return f"cannot save first. {job.cannot_save}".removesuffix(".")
    return "was asked to stop before" if job.stop_asked_at else f"is {job.status}"
