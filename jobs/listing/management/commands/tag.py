from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError

from jobs.listing import marks
from jobs.management.base import as_json, find_job, find_user
from platform_site.commands import FieldError, JsonCommand


class Command(JsonCommand):
    help = "Put tags on jobs, and take others off."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=int, nargs="+")
        parser.add_argument("--add", default="", metavar="TAGS", help="with blanks between")
        parser.add_argument("--remove", default="", metavar="TAGS")
        parser.add_argument("--user", default="", help="who does it, for the job's events")

    def handle(self, *args: Any, **options: Any) -> None:
        add, remove = (tags_of(name, options[name]) for name in ("add", "remove"))
        who = find_user(options["user"]).get_username() if options["user"] else ""
        jobs = list(map(find_job, options["id"]))
        for job in jobs:
            try:
                marks.tag(job, add, remove, who=who)
            except ValidationError as error:
                raise FieldError("add", str(error.message)) from None
        tags = {job.pk: [tag.name for tag in job.tags.all()] for job in jobs}
        text = "\n".join(f"{pk:>6}  {' '.join(each) or 'no tags'}" for pk, each in tags.items())
        self.show(options, [{**as_json(job), "tags": tags[job.pk]} for job in jobs], text)


def tags_of(field: str, text: str) -> list[str]:
    try:
        return marks.tags_in(text)
    except ValidationError as error:
        raise FieldError(field, str(error.message)) from None
