from argparse import ArgumentParser
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.http import QueryDict

from jobs.kinds.registry import registry
from jobs.listing.columns import FIXED, column_of
from jobs.listing.language.words import NotRead
from jobs.listing.table import Question, Table, question_of
from jobs.management.base import as_json, as_line, find_user
from jobs.models import HELD, Job, SavedView, Status
from platform_site.commands import FieldError, JsonCommand
from platform_site.templatetags.ui import MISSING, duration, number

ARCHIVE = {"no": "", "only": "only", "all": "all"}


def count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError("negative")
    return number


class Command(JsonCommand):
    help = "List jobs, newest first."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--status", choices=[*Status.values, HELD])
        parser.add_argument("--archive", choices=[*ARCHIVE], default="no")
        parser.add_argument("--kind", choices=[*registry().kinds])
        parser.add_argument("--where", default="", metavar="FILTER", help="as the page's filter")
        parser.add_argument(
            "--sort", default="", metavar="COLUMN", help="--sort=-COLUMN: from above"
        )
        parser.add_argument(
            "--column", action="append", default=[], help="a field, a knob, or METRIC:best"
        )
        parser.add_argument("--view", default="", help="a view that the user saved")
        parser.add_argument("--limit", type=count, default=50)
        parser.add_argument("--user", default="", help="whose pins and views (default: first "
                            "administrator)")  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        user = self.user(options)
        table = Table(question(options, user), user, Job.objects.all())
        if table.problem:
            raise FieldError("where", told(table.error, options["where"]))
        jobs = list(table.jobs.select_related("machine", "owner", "dataset_version__dataset")
                    .prefetch_related("tags")[: options["limit"]])  # fmt: skip
        cells = table.cells_of(jobs)
        text = "\n".join(line(job, cells[job.pk]) for job in jobs) or "There are no jobs."
        self.show(options, [{**as_json(job), **more(job, cells[job.pk])} for job in jobs], text)

    def user(self, options: dict[str, Any]) -> User | None:
        """Nobody is needed to list jobs."""
        if options["user"] or options["view"]:
            return find_user(options["user"])
        return User.objects.filter(is_superuser=True).order_by("pk").first()


def question(options: dict[str, Any], user: User | None) -> Question:
    given = QueryDict(mutable=True)
    if options["view"]:
        given.update(QueryDict(view_of(options["view"], user).query))
    asked = {"status": options["status"], "kind": options["kind"], "where": options["where"],
             "archive": ARCHIVE[options["archive"]], "sort": options["sort"]}  # fmt: skip
    for name, value in asked.items():
        if value:
            given[name] = value
    for name in ("sort", *(["column"] if options["column"] else [])):
        check(name, options[name])
    if options["column"]:
        given.setlist("column", options["column"])
    return question_of(given, ())


def check(option: str, given: str | list[str]) -> None:
    for name in [given] if isinstance(given, str) else given:
        by = name.removeprefix("-") if option == "sort" else name
        known = not by or column_of(by) or (option == "sort" and by in FIXED)
        if not known:
            raise FieldError(option, f"There is no column {by}. A metric's is NAME:last, :best, "
                             ":low or :high.")  # fmt: skip


def view_of(name: str, user: User | None) -> SavedView:
    view = SavedView.objects.filter(owner=user, name=name).first()
    if view is None:
        raise FieldError("view", f"There is no view {name}: manage.py view list names all.")
    return view


def told(error: NotRead | None, where: str) -> str:
    """The fault with its place, and what could stand there."""
    if error is None:
        return ""
    possible = f" Possible: {' '.join(error.possible[:20])}" if error.possible else ""
    return f"{error} (at character {error.at + 1} of {where!r}){possible}"


def more(job: Job, cells: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "tags": [tag.name for tag in job.tags.all()],
        "note": job.note,
        "pinned": bool(getattr(job, "is_pinned", False)),
        "columns": {cell["column"].name: plain(cell["value"]) for cell in cells},
    }


def plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return str(value) if isinstance(value, float) and value != value else value


def line(job: Job, cells: list[dict[str, Any]]) -> str:
    return "  ".join([as_line(job), *(f"{c['column'].name}={written(c['value'])}" for c in cells)])


def written(value: Any) -> str:
    if value is None or value == "":
        return MISSING
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    if isinstance(value, timedelta):
        return duration(value)
    return number(value) if isinstance(value, float) else str(value)
