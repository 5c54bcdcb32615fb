from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

from jobs.exports import services
from jobs.launch.management.submitting import add_wait_option, show_submitted
from jobs.launch.submit import NotSubmitted
from jobs.management.base import add_verb_arguments, find_job, find_user
from platform_site.commands import FieldError, JsonCommand
from platform_site.fields import one_line


class Command(JsonCommand):
    help = "Export a checkpoint of a job as a Hugging Face folder, by a job on its machine."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        add_verb_arguments(parser)
        parser.add_argument("--step", type=int, help="of the checkpoint (default: the newest)")
        parser.add_argument("--name", default="", help="the new job's name")
        parser.add_argument(
            "--keep-adapter", action="store_true", help="do not fold a LoRA adapter in"
        )
        add_wait_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        job, owner = find_job(options["id"]), find_user(options["user"])
        try:
            one_line(options["name"])
            saved = services.find(job, options["step"])
            made = services.export(
                job,
                saved,
                owner,
                name=options["name"][:200],
                keep_adapter=options["keep_adapter"],
            )
        except NotSubmitted as error:
            raise CommandError(str(error)) from error
        except ValidationError as error:
            raise FieldError("name", "; ".join(error.messages)) from error
        show_submitted(self, options, made)
