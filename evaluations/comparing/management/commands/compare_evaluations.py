from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from evaluations.comparing.asking import named
from evaluations.comparing.comparison import (
    Asked,
    Beside,
    NotComparable,
    compare,
    places_of,
    rows_at,
)
from evaluations.statistics.paired import Difference
from jobs.management.base import find_user
from jobs.models import Job
from platform_site.commands import FieldError, JsonCommand

SHOWN = 5


class Command(JsonCommand):
    help = "Compare evaluations of the same prompts: differences with their bounds."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("ids", type=int, nargs="+", metavar="JOB",
                            help="evaluations; the others are compared with the first")  # fmt: skip
        parser.add_argument("--prompts", type=int, default=SHOWN, metavar="K",
                            help=f"of each the K most different (default: {SHOWN})")  # fmt: skip
        parser.add_argument("--user", default="", help="who asks (default: first administrator)")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = compare(named(options["ids"], find_user(options["user"])))
        except Job.DoesNotExist as error:
            raise FieldError(
                "ids", "There is no such job. manage.py evaluations lists them."
            ) from error
        except NotComparable as error:
            raise CommandError(str(error)) from error
        most = max(0, options["prompts"])
        data = {"first": found.first.job_id, "way": found.first.way,
                "others": [_as_json(each, most) for each in found.others]}  # fmt: skip
        self.show(options, data, "\n".join(line for each in found.others for line in _lines(each)))


def _as_json(beside: Beside, most: int) -> dict[str, Any]:
    found = beside.paired
    places = places_of(found, Asked())[:most]
    return {
        "id": beside.second.job_id,
        "prompts": found.shared,
        "only_first": found.only_first,
        "only_second": found.only_second,
        "same_evaluator": beside.is_of_one_evaluator,
        "evaluator_differs_in": [name for name, _, _ in beside.apart],
        "differences": [_difference(each) for each in found.differences],
        "most_different": [vars(row) for row in rows_at(found, places)],
    }


def _difference(each: Difference) -> dict[str, Any]:
    bounds = each.interval
    return {
        "name": each.name, "first": each.first, "second": each.second,
        "difference": each.value,
        "low": bounds.low if bounds else None, "high": bounds.high if bounds else None,
        "prompts": each.prompts, "better": each.better, "worse": each.worse, "same": each.same,
        "verdict": each.verdict, "sentence": each.sentence, "note": each.note,
    }  # fmt: skip


def _lines(beside: Beside) -> list[str]:
    told = [f"{beside.second.job_id} beside {beside.first.job_id}: {beside.second.subject}"]
    if not beside.is_of_one_evaluator:
        names = ", ".join(name for name, _, _ in beside.apart) or "what is not told"
        told.append(f"  Different evaluators: they differ in {names}.")
    if beside.left_out:
        told.append(f"  {beside.left_out}")
    for each in beside.paired.differences:
        counts = f"{each.better} better, {each.worse} worse, {each.same} the same"
        told.append(f"  {each.name} {each.first:.4g} -> {each.second:.4g} ({counts})")
        told.append(f"    {' '.join(filter(None, (each.sentence, each.note)))}")
    return told
