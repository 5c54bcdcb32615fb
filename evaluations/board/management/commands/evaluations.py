from argparse import ArgumentParser
from typing import Any

from evaluations.board import shown
from evaluations.kinds.evaluate import WAYS
from jobs.management.base import find_user
from platform_site.commands import JsonCommand

MOST = 50


class Command(JsonCommand):
    help = "List evaluations, newest first, with their figures and the bounds of these."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--way", choices=WAYS, default="")
        parser.add_argument("--set", default="", metavar="NAME", help="on these prompts only")
        parser.add_argument("--of", type=int, metavar="JOB", help="of this run's checkpoints only")
        parser.add_argument("--search", default="", help="in the name")
        parser.add_argument("--limit", type=int, default=MOST, help=f"how many (default: {MOST})")
        parser.add_argument("--user", default="", help="whose (default: first administrator)")

    def handle(self, *args: Any, **options: Any) -> None:
        of = "" if options["of"] is None else str(options["of"])
        wanted = {"q": options["search"], "way": options["way"], "status": "",
                  "set": options["set"], "of": of}  # fmt: skip
        found = shown.filtered(shown.all_of(find_user(options["user"])), wanted)
        jobs = list(shown.in_order(found, shown.NEWEST)[: max(0, options["limit"])])
        lines = [_in_a_line(row) for row in shown.rows(jobs)]
        self.show(options, [shown.as_json(job) for job in jobs], "\n".join(lines))


def _in_a_line(row: dict[str, Any]) -> str:
    job = row["job"]
    told = [_figure(figure) for figure in row["figures"]] or [job.stands]
    return f"{job.pk:>6}  {row['way']:<8} {'  '.join(told)}  {job.name}"


def _figure(figure: shown.Figure) -> str:
    bounds = f" [{figure.bounds[0]:.4g}, {figure.bounds[1]:.4g}]" if figure.bounds else ""
    return f"{figure.short} {figure.value:.4g}{bounds}"
