from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from jobs import resuming
from jobs.management.base import add_verb_arguments, as_json, find_job, find_user
from platform_site.commands import JsonCommand


class Command(JsonCommand):
    help = "Have a run save a checkpoint after its current step; it goes on."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        add_verb_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        job = find_job(options["id"])
        if not resuming.save_now(job, who=find_user(options["user"]).get_username()):
            why = job.cannot_save or f"It is {job.status}."
            raise CommandError(f"Job {job.pk} was not asked to save. {why}")
        self.show(options, as_json(job), f"Job {job.pk}: it saves after this step.")
