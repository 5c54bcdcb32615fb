from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from jobs.launch import submit
from jobs.launch.submit import NotChanged, NotSubmitted
from jobs.management.base import as_json, as_line, find_job, find_user, sets_of, warn
from jobs.order import filling
from jobs.order.forms import form_data
from jobs.order.management.base import add_order_arguments, checked_form
from platform_site.commands import JsonCommand


class Command(JsonCommand):
    help = "Change the settings of a draft. It stays a draft unless --start is given."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=int)
        add_order_arguments(parser)
        parser.add_argument("--start", action="store_true", help="put it into the queue at once")

    def handle(self, *args: Any, **options: Any) -> None:
        job, who = find_job(options["id"]), find_user(options["user"]).get_username()
        if not job.job_kind.has_recipes:
            raise CommandError(f"Job {job.pk} is of a kind that has no form.")
        if not job.can_start:
            raise CommandError(submit.why_not_changed(job))
        base, filled, own = filling.draft_of(job)
        own |= {"name": options["name"]} if options["name"] else {}
        sets = filling.sets_of_draft(base.kind, own, sets_of(options))
        form = checked_form(base, job.owner, form_data(filled, "", sets))
        try:
            submit.change(job, form.order(), revision=job.revision, who=who)
            if options["start"]:
                submit.enqueue(job, who=who)
        except NotChanged as error:
            raise CommandError(str(error)) from None
        except NotSubmitted as error:
            raise CommandError(f"It is saved, and stays a draft. {error}") from None
        self.show(options, as_json(job) | {"warnings": warn(self, form.warnings)}, as_line(job))
