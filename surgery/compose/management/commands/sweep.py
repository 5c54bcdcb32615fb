import sys
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandError

from jobs.launch.management.submitting import wait
from jobs.launch.submit import NotSubmitted
from jobs.management.base import find_user
from jobs.models import Status
from platform_site.commands import FieldError, JsonCommand
from surgery.compose import scoring
from surgery.compose.management.told import as_json, in_lines
from surgery.compose.models import Sweep


class Command(JsonCommand):
    help = "Show the merges of a sweep; have their models scored by the validation of a run."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=int)
        parser.add_argument("--score", type=int, metavar="JOB", help="a run of SFT: its number")
        parser.add_argument("--wait", action="store_true", help="wait until the scores are there")
        parser.add_argument("--user", default="", help="who asks (default: first administrator)")

    def handle(self, *args: Any, **options: Any) -> None:
        owner = find_user(options["user"])
        made = Sweep.objects.visible_to(owner).filter(pk=options["id"]).first()
        if made is None:
            raise FieldError("id", f"There is no sweep {options['id']}.")
        if options["score"] is not None:
            _score(made, options["score"], owner)
        if options["wait"]:
            for row in made.merges.exclude(score=None).select_related("score"):
                if row.score is not None:
                    wait(row.score)
        data = as_json(made)
        self.show(options, data, in_lines(data))
        if options["wait"] and not all(map(is_scored, data["merges"])):
            sys.exit(1)


def is_scored(merge: Mapping[str, Any]) -> bool:
    """Whether a merge has the score that was asked for: one that completed may have logged none."""
    is_measured = merge["score_status"] == Status.COMPLETED and merge["val_loss"] is not None
    return not merge["score_job"] or is_measured


def _score(made: Sweep, run: int, owner: User) -> None:
    runs = {each.pk: each for each in scoring.judges(made, owner)}
    if run not in runs:
        known = ", ".join(map(str, runs)) or "none"
        raise FieldError("score", f"No run of SFT that can score them. Such are: {known}.")
    try:
        scoring.score(made, runs[run], owner)
    except NotSubmitted as error:
        raise CommandError(str(error)) from None
