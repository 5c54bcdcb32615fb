from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from jobs.launch.management.submitting import add_wait_option, show_submitted, wait
from jobs.launch.submit import NotSubmitted
from jobs.management.base import add_verb_arguments, find_job, find_user
from jobs.rehearsal import report, services
from platform_site.commands import JsonCommand


class Command(JsonCommand):
    help = (
        "Rehearse a training job on this machine's CPU with a small model. With --wait the exit "
        "code is 0 only if every part passed."
    )

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        add_verb_arguments(parser)
        parser.add_argument(
            "--first", action="store_true", help="also start the draft, when it has passed"
        )
        add_wait_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        job, owner = find_job(options["id"]), find_user(options["user"])
        ask = services.rehearse_first if options["first"] else services.rehearse
        try:
            made = ask(job, owner)
        except NotSubmitted as error:
            raise CommandError(str(error)) from error
        if options["wait"]:
            wait(made)
            if not options["json"]:
                self.stdout.write("\n".join(report.as_lines(made)))
        show_submitted(self, options, made, rehearses=job.pk, **report.as_json(made))
