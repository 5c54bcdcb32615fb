from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from jobs.files import fetching
from jobs.files.fetching import FetchError
from jobs.management.base import add_verb_arguments, find_job, find_user
from platform_site.commands import JsonCommand
from platform_site.counts import size_text


class Command(JsonCommand):
    help = "Bring a checkpoint of a run on another machine here, checked by SHA-256."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        add_verb_arguments(parser)
        parser.add_argument("--step", type=int, required=True, help="manage.py checkpoints ID")
        parser.add_argument("--to", type=Path, help="folder that global_step_N is put into")

    def handle(self, *args: Any, **options: Any) -> None:
        job, step = find_job(options["id"]), options["step"]
        self.last = -1
        tell = self.say_nothing if options["json"] else self.say
        try:
            into = options["to"] and options["to"].expanduser().resolve()
            who = find_user(options["user"]).get_username()
            fetch = fetching.fetch_now(job, step, who=who, into=into, told=tell)
        except FetchError as error:
            raise CommandError(str(error)) from None
        data = {"id": job.pk, "step": step, "folder": fetch.target, "bytes": fetch.total}
        self.show(options, data, f"Step {step} of job {job.pk} is in {fetch.target}.")

    def say(self, done: int, total: int) -> None:
        percent = 100 * done // total if total else 0
        if percent != self.last:
            self.stderr.write(f"{percent} % of {size_text(total)}", ending="\r")
            self.last = percent

    def say_nothing(self, done: int, total: int) -> None:
        pass
