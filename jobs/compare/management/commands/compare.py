from argparse import ArgumentParser
from typing import Any

from jobs.compare.comparison import MOST, compare_jobs
from jobs.management.base import as_json, find_job
from jobs.verl.diff import Cell, Row
from platform_site.commands import FieldError, JsonCommand
from platform_site.templatetags.ui import MISSING


class Command(JsonCommand):
    help = "Show what two or more jobs set differently, the important settings first."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=int, nargs="+", help=f"two to {MOST} jobs")
        parser.add_argument("--all", action="store_true", help="show what is equal as well")

    def handle(self, *args: Any, **options: Any) -> None:
        numbers = list(dict.fromkeys(options["id"]))
        if not 2 <= len(numbers) <= MOST:
            raise FieldError("id", f"Name two to {MOST} different jobs.")
        jobs = [find_job(number) for number in numbers]
        rows = [row for row in compare_jobs(jobs) if row.differs or options["all"]]
        data = {"jobs": [as_json(job) for job in jobs], "settings": [in_json(r) for r in rows]}
        self.show(options, data, "\n".join(map(in_words, rows)) or "They set the same.")


def in_json(row: Row) -> dict[str, Any]:
    cells = [{"value": cell.text, "given": cell.given} for cell in row.cells]
    names = {"name": row.name, "label": row.label, "key": row.key, "unit": row.unit}
    return {**names, "differs": row.differs, "cells": cells}


def in_words(row: Row) -> str:
    label = row.key if row.label == "Override" else row.label
    return f"{label:<32} " + "  |  ".join(written(cell, row.unit) for cell in row.cells)


def written(cell: Cell, unit: str) -> str:
    if cell.given == "absent":
        return MISSING
    value = f"{cell.text} {unit}".strip()
    words = {"default": f"verl's default ({value})" if cell.text else "verl's default"}
    words |= {"method": f"{value} (by the method)", "platform": f"{value} (by Trainyard)"}
    words |= {"unset": value or "not set"}
    return words.get(cell.given, value)
