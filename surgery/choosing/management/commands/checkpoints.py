from argparse import ArgumentParser
from collections.abc import Collection
from difflib import get_close_matches
from typing import Any

from jobs.management.base import find_job
from platform_site.commands import FieldError, JsonCommand
from platform_site.counts import size_text
from surgery.choosing.made import Made
from surgery.choosing.table import Line, Table, in_order, table_of


class Command(JsonCommand):
    help = "List the checkpoints of a run, newest first, and what was made from them."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=int)
        parser.add_argument(
            "--metric", action="append", default=[], help="its value at each step; may be repeated"
        )
        parser.add_argument("--sort", default="", help="step, size or a metric")
        parser.add_argument("--reverse", action="store_true", help="with --sort: from above")

    def handle(self, *args: Any, **options: Any) -> None:
        job, asked = find_job(options["id"]), options["metric"]
        table = table_of([job], asked)
        for name in asked:
            if name not in table.names:
                known = ", ".join(get_close_matches(name, table.names, cutoff=0.3)) or "none"
                told = (
                    f"Job {job.pk} has no metric {name}. Of its {len(table.names)}, alike: {known}."
                )
                raise FieldError("metric", told)
        here = {fetch.step: fetch.target for fetch in job.fetches.all() if fetch.is_here}
        lines = _sorted(table, options["sort"], is_down=options["reverse"])
        data = [_as_json(line, here) for line in lines]
        self.show(options, data, "\n".join(_in_a_line(each, asked) for each in data))


def _sorted(table: Table, sort: str, *, is_down: bool) -> list[Line]:
    if not sort:
        return table.lines
    known = ("step", "size", *table.columns)
    if sort not in known:
        told = f"It cannot be sorted by {sort}. Name one of: {', '.join(known)}."
        raise FieldError("sort", told)
    return in_order(table.lines, table.columns, f"-{sort}" if is_down else sort)


def _as_json(line: Line, here: dict[int, str]) -> dict[str, Any]:
    artifact, machine = line.artifact, line.job.machine
    brought = here.get(line.step) if line.step is not None else None
    return {
        "name": line.name,
        "job": line.job.pk,
        "step": line.step,
        "attempt": artifact.attempt,
        "artifact": artifact.pk,
        "bytes": artifact.size if isinstance(line, Made) else artifact.size or 0,
        "saved_at": artifact.made_at and artifact.made_at.isoformat(),
        "is_complete": artifact.is_whole,
        "why_not": artifact.fault,
        "has_hf": artifact.has_model,
        "states": line.states,
        "metrics": dict(line.values),
        "flags": [{"flag": flag.name, "numbers": flag.numbers} for flag in line.flags],
        "pinned_by": artifact.pinned_by or None,
        "machine": machine.name,
        "folder": line.folder,
        "here": line.folder if machine.is_local else brought,
    }


def _in_a_line(data: dict[str, Any], asked: Collection[str]) -> str:
    step = "-" if data["step"] is None else data["step"]
    size = "?" if data["bytes"] is None else size_text(data["bytes"])
    values = "".join(f"  {name} {_figure(data['metrics'][name])}" for name in asked)
    flags = "".join(f" ({each['flag']})" for each in data["flags"])
    state = "" if data["is_complete"] else " (not complete)"
    made = "" if data["step"] is not None else f", {data['states'][-1]} by job {data['job']}"
    here = f", here: {data['here']}" if data["here"] not in (None, data["folder"]) else ""
    return f"{step:>8} {size:>10}{values}  {data['folder']}{state}{flags}{made}{here}"


def _figure(value: float | None) -> str:
    return "?" if value is None else f"{value:.6g}"
