from argparse import ArgumentParser
from typing import Any

from jobs import measured
from jobs.compare.comparison import MOST, compare_jobs
from jobs.management.base import as_json, find_job
from jobs.verl.better import is_best_higher
from jobs.verl.diff import Cell, Row
from platform_site.commands import FieldError, JsonCommand
from platform_site.templatetags.ui import MISSING, number


class Command(JsonCommand):
    help = "Show what two or more jobs set differently, the important settings first."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=int, nargs="+", help=f"two to {MOST} jobs")
        parser.add_argument("--all", action="store_true", help="show what is equal as well")
        parser.add_argument(
            "--metric", action="append", default=[], help="its last and best value in each job, too"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        numbers = list(dict.fromkeys(options["id"]))
        if not 2 <= len(numbers) <= MOST:
            raise FieldError("id", f"Name two to {MOST} different jobs.")
        jobs = [find_job(number) for number in numbers]
        rows = [row for row in compare_jobs(jobs) if row.differs or options["all"]]
        metrics = [figures_of(metric, numbers) for metric in dict.fromkeys(options["metric"])]
        data = {"jobs": [as_json(job) for job in jobs], "settings": [in_json(r) for r in rows]}
        lines = [*map(in_words, rows)] or ["They set the same."]
        text = "\n".join([*lines, *(line for each in metrics for line in figure_lines(each))])
        self.show(options, data | {"metrics": metrics}, text)


def figures_of(metric: str, numbers: list[int]) -> dict[str, Any]:
    """The last value of a metric in each job, and the best one where its name says which it is."""
    found, higher = measured.figures_of(numbers, metric), is_best_higher(metric)
    best = {pk: figure.high if higher else figure.low for pk, figure in found.items()}
    return {
        "name": metric,
        "last": [found[pk].last if pk in found else None for pk in numbers],
        "best": [best.get(pk) if higher is not None else None for pk in numbers],
    }


def figure_lines(figures: dict[str, Any]) -> list[str]:
    label = figures["name"]
    return [
        f"{f'{label} ({word})':<32} " + "  |  ".join(number_or_dash(v) for v in figures[word])
        for word in ("last", "best")
    ]


def number_or_dash(value: float | None) -> str:
    return MISSING if value is None else number(value)


def in_json(row: Row) -> dict[str, Any]:
    cells = [{"value": cell.text, "given": cell.given} for cell in row.cells]
    names = {"name": row.name, "label": row.label, "key": row.key, "unit": row.unit}
    return {**names, "differs": row.differs, "cells": cells}


def in_words(row: Row) -> str:
    label = row.key if row.label in ("Override", "Resolved") else row.label
    return f"{label:<32} " + "  |  ".join(written(cell, row.unit) for cell in row.cells)


def written(cell: Cell, unit: str) -> str:
    if cell.given == "absent":
        return MISSING
    value = f"{cell.text} {unit}".strip()
    words = {"default": f"verl's default ({value})" if cell.text else "verl's default"}
    words |= {"method": f"{value} (by the method)", "platform": f"{value} (by Trainyard)"}
    words |= {"unset": value or "not set"}
    return words.get(cell.given, value)
