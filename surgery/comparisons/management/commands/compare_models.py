from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.contrib.auth.models import User

from jobs.management.base import find_job
from platform_site.commands import FieldError
from surgery.comparisons.findings import Findings, NotReadable
from surgery.comparisons.forms import CompareForm
from surgery.comparisons.results import findings_of
from surgery.kinds.compare import CompareSpec
from surgery.making.management.base import MakeCommand

SHOWN = 20  # tensors, as text


class Command(MakeCommand):
    help = "Compare two models tensor by tensor, by a job on their machine; or show what one found."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("before", nargs="?", default="", help="the folder of the first model")
        parser.add_argument("after", nargs="?", default="", help="the folder of the second model")
        parser.add_argument("--of", type=int, metavar="ID", help="show what this job has found")
        super().add_own_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["of"] is None:
            super().handle(*args, **options)
            return
        if options["before"]:
            raise FieldError("of", "Name two models, or a job with --of, and not both.")
        job = find_job(options["of"])
        if not isinstance(job.spec_of_kind, CompareSpec):
            raise FieldError("of", f"Job {job.pk} compares no models.")
        try:
            found = findings_of(job)
        except NotReadable as error:
            raise FieldError("of", str(error)) from error
        self.show(options, asdict(found), "\n".join(_lines(found)))

    def form(self, user: User, data: dict[str, Any], options: dict[str, Any]) -> CompareForm:
        paths = {f"{name}_path": options[name] for name in ("before", "after")}
        return CompareForm(user, [], data | paths)


def _lines(found: Findings) -> list[str]:
    rows = [
        f"  {_said(each.figures['relative'])}  {_said(each.figures['cosine'])}  {each.name}"
        for each in found.most_changed[:SHOWN]
    ]
    whole = f"{found.tensors} tensors, relative distance {_said(found.whole['relative']).strip()}"
    return [whole, "  relative     cosine  tensor", *rows, *found.left_out]


def _said(value: float | None) -> str:
    return f"{'-' if value is None else format(value, '.4g'):>9}"
