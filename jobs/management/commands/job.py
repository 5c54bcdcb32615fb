from argparse import ArgumentParser
from typing import Any

from jobs.management.base import as_json, find_job
from platform_site.commands import JsonCommand


class Command(JsonCommand):
    help = "Show one job."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        data = as_json(find_job(options["id"]))
        width = max(map(len, data))
        text = "\n".join(f"{name:<{width}}  {value}" for name, value in data.items())
        self.show(options, data, text)
