from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from platform_site.commands import JsonCommand
from platform_site.running.samples import SampleError, make_samples


class Command(JsonCommand):
    help = "Make the sample model and data sets. Doing it again changes nothing."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.description = self.help

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            folder = make_samples()
        except SampleError as error:
            raise CommandError(str(error)) from error
        self.show(options, {"samples": str(folder)}, f"The samples are in {folder}.")
