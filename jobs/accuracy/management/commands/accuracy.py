from argparse import ArgumentParser
from typing import Any

from jobs.accuracy import shown
from jobs.accuracy.shown import Row
from jobs.models import Outcome
from platform_site.commands import JsonCommand
from platform_site.counts import counted, size_text


class Command(JsonCommand):
    help = "How good the estimates of finished runs were, the newest first."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--gpu", default="", help="of a card, by its name in the catalogue")
        parser.add_argument("--family", default="", help="of a type of model, such as qwen2")
        parser.add_argument("--algorithm", default="")

    def handle(self, *args: Any, **options: Any) -> None:
        found = shown.chosen(Outcome.objects.all(), options)
        summary = shown.summary_of(found)
        runs = list(found.select_related("job"))
        data = {"summary": summary, "runs": [in_json(run) for run in runs]}
        lines = [line for run in runs for line in in_words(run)]
        self.show(options, data, "\n".join([*lines, *summed_up(summary)]))


def in_json(run: Outcome) -> dict[str, Any]:
    return {
        "job": run.job_id,
        "name": run.job.name,
        "at": run.at.isoformat(),
        "gpu": run.gpu,
        "gpus": run.gpus,
        "family": run.family,
        "algorithm": run.algorithm,
        "learned_from": run.learned_from,
        "figures": [row.as_json() for row in shown.rows_of(run)],
    }


def in_words(run: Outcome) -> list[str]:
    head = (
        f"{run.job_id:>6}  {run.job.name}: {run.algorithm} of {run.family} on {run.gpus} {run.gpu}"
    )
    return [head, *map(written, shown.rows_of(run))]


def written(row: Row) -> str:
    estimated, measured = (
        size_text(figure) if row.is_size else f"{figure:.4g} s"
        for figure in (row.estimated, row.measured)
    )
    return (
        f"        {row.name:<22} {estimated:>10} estimated {measured:>10} measured {row.error:+.0%}"
    )


def summed_up(summary: dict[str, Any]) -> list[str]:
    if not summary["runs"]:
        return ["No run on GPUs has ended yet whose estimate can be judged."]
    lines = []
    for name, what in (("peak_error", "Peak memory"), ("time_error", "Time of a step")):
        if runs := summary[f"{name}_runs"]:
            mean, worst = summary[f"{name}_mean"], summary[f"{name}_worst"]
            off = f"off by {mean:.0%} on average and {worst:.0%} at worst"
            lines.append(f"{what}: {off}, over {counted(runs, 'run')}.")
    return lines
