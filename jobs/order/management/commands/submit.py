from argparse import ArgumentParser
from typing import Any

from jobs.launch import submit
from jobs.launch.management.submitting import add_wait_option, show_submitted
from jobs.order.management.base import add_recipe_arguments, filled_form, warn
from platform_site.commands import JsonCommand


class Command(JsonCommand):
    help = "Submit a job from a recipe. With --wait the exit code is 0 only if it completed."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        add_recipe_arguments(parser)
        add_wait_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        form = filled_form(options)
        job = submit.submit(form.order(), start=True)
        show_submitted(self, options, job, warnings=warn(self, form))
