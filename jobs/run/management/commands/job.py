from argparse import ArgumentParser
from typing import Any

from jobs.management.base import as_json, find_job, warn
from jobs.recipebook.book import warnings_of
from platform_site.commands import JsonCommand


class Command(JsonCommand):
    help = "Show one job, and what is unusual in its settings."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        job = find_job(options["id"])
        data = as_json(job)
        width = max(map(len, data))
        text = "\n".join(f"{name:<{width}}  {value}" for name, value in data.items())
        self.show(options, data | {"warnings": warn(self, warnings_of(job))}, text)
