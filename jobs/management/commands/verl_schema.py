import json
import subprocess
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from platform_site.bounded.environment import passed_on
from platform_site.commands import JsonCommand

# By path, so that a Python without the node package is answered by the same code.
DUMP = settings.BASE_DIR / "environments/node/trainyard_node/schema.py"
PATIENCE = 120.0  # seconds; composing takes two


class Command(JsonCommand):
    help = "Write down the configuration keys of an installed verl, one file for each trainer."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--python",
            type=Path,
            default=settings.TRAINYARD_TRAIN_PYTHON,
            help="the Python that verl is installed in (default: this machine's training Python)",
        )
        parser.add_argument("--out", type=Path, help="write <trainer>.json into this folder")

    def handle(self, *args: Any, **options: Any) -> None:
        schemas = dumped(options["python"])
        if options["out"]:
            write(schemas, options["out"])
        data = {
            "verl": next(iter(schemas.values()))["verl"],
            "out": str(options["out"]) if options["out"] else None,
            "keys": {config: len(schema["keys"]) for config, schema in schemas.items()},
        }
        self.show(options, data, as_text(data))


def dumped(python: Path) -> dict[str, Any]:
    """The schemas by trainer, or ``CommandError`` where there is no verl to read."""
    try:
        done = subprocess.run(
            [python, "-P", DUMP], capture_output=True, text=True, timeout=PATIENCE,
            env=passed_on(), check=False,
        )  # fmt: skip
    except OSError as error:
        raise CommandError(f"{python} cannot be run: {error.strerror}.") from None
    except subprocess.TimeoutExpired:
        raise CommandError(f"{python} gave no answer in {PATIENCE:.0f} seconds.") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise CommandError(f"{python} has no verl that can be read: {last}")
    schemas: dict[str, Any] = json.loads(done.stdout)
    return schemas


def write(schemas: dict[str, Any], folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for config, schema in schemas.items():
            text = json.dumps(schema, indent=1, sort_keys=True)
            (folder / f"{config}.json").write_text(f"{text}\n")
    except OSError as error:
        raise CommandError(f"{folder} cannot be written: {error.strerror}.") from None


def as_text(data: dict[str, Any]) -> str:
    lines = [f"verl {data['verl']}"]
    lines += [f"{config:<20} {count:>4} keys" for config, count in data["keys"].items()]
    return "\n".join([*lines, f"Written to {data['out']}"] if data["out"] else lines)
