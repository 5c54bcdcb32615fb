"""The figures of a run for people and programs: last and best values, or all points as a file."""

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from jobs.management.base import find_job
from jobs.models import Job
from monitoring.models import Series
from monitoring.page.export import FORMATS
from monitoring.page.figures import best_of, better_side
from monitoring.readers.verl_metrics import write_value
from monitoring.store import points
from platform_site.commands import FieldError, JsonCommand
from platform_site.templatetags.ui import number


class Command(JsonCommand):
    help = "Show the last and best value of each metric of a job, or write all points to a file."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=int)
        parser.add_argument(
            "--name", action="append", default=[], help="a metric; default: all of them"
        )
        parser.add_argument("--as", choices=[*FORMATS], dest="format", help="write the points so")
        parser.add_argument("--to", default="-", help="the file; default: the standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        job = find_job(options["id"])
        names = self.names(job, options["name"])
        if options["format"]:
            self.write(job, names, options)
        else:
            rows = Series.objects.filter(job=job, name__in=names)
            shown = [facts(series) for series in rows]
            self.show(options, shown, table(shown) or "No figure was logged yet.")

    def names(self, job: Job, asked: Sequence[str]) -> list[str]:
        known = points.all_names(job)
        for name in asked:
            if name not in known:
                raise FieldError("name", f"Job {job.pk} has no metric {name}.")
        return [name for name in known if name in asked] if asked else known

    def write(self, job: Job, names: Sequence[str], options: dict[str, Any]) -> None:
        _, written = FORMATS[options["format"]]
        if options["to"] == "-":
            if options["json"]:
                raise FieldError("to", "With --json the points go to a file: name it by --to.")
            for part in written(job, names):
                sys.stdout.buffer.write(part)
            sys.stdout.buffer.flush()
            return
        file = Path(options["to"])
        try:
            with file.open("xb") as out:
                out.writelines(written(job, names))
        except FileExistsError:
            raise FieldError("to", f"{file} is there already: name another file.") from None
        except OSError as error:
            raise CommandError(f"{file} cannot be written: {error.strerror}.") from None
        said = f"Wrote {len(names)} metric{'s'[: len(names) != 1]} of job {job.pk} to {file}."
        self.show(options, {"job": job.pk, "metrics": len(names), "file": str(file)}, said)


def facts(series: Series) -> dict[str, Any]:
    best = best_of(series)
    return {
        "name": series.name,
        "step": series.last_step,
        "last": write_value(series.last_value),
        "better": better_side(series.name) or None,
        "best": best,
        "least": series.low,
        "greatest": series.high,
        "points": series.count,
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The best value is left out where nobody knows which side is better."""
    heads = ("last", "best", "step")
    lines = [f"{heads[0]:>10}  {heads[1]:>10}  {heads[2]:>8}  metric"] if rows else []
    for row in rows:
        best = "-" if row["best"] is None else number(row["best"])
        lines.append(f"{number(row['last']):>10}  {best:>10}  {row['step']:>8}  {row['name']}")
    return "\n".join(lines)
