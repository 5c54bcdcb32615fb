"""``python -m tests.bench [NAME …] [--json]``: measure and print; NAMEs are in ``WHAT``."""

import argparse
import json
import tempfile
from pathlib import Path

from tests.bench.home import open_home

WHAT = (
    "live",
    "start",
    "cost",
    "data",
    "transfer",
    "watch",
    "metrics",
    "load",
    "form",
    "calculator",
    "estimate",
    "throughput",
    "answers",
    "evaluations",
    "logs",
    "lists",
    "imports",
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("what", nargs="*", help=f"any of {', '.join(WHAT)}; default: all")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="trainyard-bench-") as folder:
        site = open_home(Path(folder) / "home")
        # These import Django's models, so they come after the home is set.
        from tests.bench import (
            answers,
            calculator,
            cost,
            data,
            estimate,
            evaluations,
            form,
            imports,
            lists,
            live,
            load,
            logs,
            metrics,
            start,
            throughput,
            transfer,
            watch,
        )

        measures = {
            "live": live.measure,
            "start": start.measure,
            "cost": cost.measure,
            "data": data.measure,
            "transfer": transfer.measure,
            "watch": watch.measure,
            "metrics": metrics.measure,
            "load": load.measure,
            "form": form.measure,
            "calculator": calculator.measure,
            "estimate": estimate.measure,
            "throughput": throughput.measure,
            "answers": answers.measure,
            "evaluations": evaluations.measure,
            "logs": logs.measure,
            "lists": lists.measure,
            "imports": imports.measure,
        }
        for name in options.what or WHAT:
            figures = measures[name](site)
            print(json.dumps({name: figures}) if options.json else table(name, figures), flush=True)


def table(name: str, figures: dict[str, float]) -> str:
    return "\n".join([name, *(f"  {what:<52} {value:8.3f}" for what, value in figures.items())])


if __name__ == "__main__":
    main()
