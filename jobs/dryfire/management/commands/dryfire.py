from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from jobs.dryfire import proposing, services
from jobs.dryfire.text import as_lines
from jobs.launch.management.submitting import add_wait_option, show_submitted, wait
from jobs.launch.submit import NotSubmitted
from jobs.management.base import add_verb_arguments, find_job, find_user
from jobs.rehearsal import report
from platform_site.commands import JsonCommand


class Command(JsonCommand):
    help = (
        "Run the two worst steps of a training job on its own machine and GPUs, with its own "
        "model. With --wait the exit code is 0 only if every part passed."
    )

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        add_verb_arguments(parser)
        add_wait_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        job, owner = find_job(options["id"]), find_user(options["user"])
        try:
            made = services.dry_fire(job, owner)
        except NotSubmitted as error:
            raise CommandError(str(error)) from error
        if not options["json"]:
            self.stdout.write(services.about(made))
        if options["wait"]:
            wait(made)
        told = report.report_of(made)
        found = proposing.found_in(made, told)
        if options["wait"] and not options["json"]:
            self.stdout.write("\n".join([*report.as_lines(made), *as_lines(found, told)]))
        more = report.as_json(made) | proposing.as_json(found, told)
        show_submitted(self, options, made, dry_fires=job.pk, **more)
