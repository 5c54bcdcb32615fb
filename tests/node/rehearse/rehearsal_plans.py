"""Plans of rehearsals and dry-fires as the platform makes them, by its own Python."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainyard_node.rehearse.plan import Plan

ROOT = Path(__file__).parents[3]
PLATFORM = ROOT / ".venv/bin/python"
MAKE = """
import json, sys
from jobs.kinds.dryfire import DryFireSpec
from jobs.kinds.registry import kind_of
from jobs.kinds.rehearsal import RehearsalSpec
from jobs.process import Placement
from jobs.verl.recipes import all_recipes
given = json.load(sys.stdin)
found = {}
for name, job in given["jobs"].items():
    spec = all_recipes()[job["recipe"]].spec(given["places"])
    train = {"values": {**spec.values, **job["values"]}, "overrides": job["overrides"]}
    place = Placement(job["root"], given["python"], "tried")
    asked = {"rehearsal": RehearsalSpec, "dryfire": DryFireSpec}[job["trial"]](1, spec.kind, train)
    command = kind_of(asked).command(asked, place, {})
    found[name] = {"argv": command.argv, "env": command.env}
json.dump(found, sys.stdout)
"""


@dataclass(frozen=True)
class Job:
    """A job of a sample recipe, with what differs from it, and how it is tried."""

    values: Mapping[str, Any] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()
    recipe: str = "sample-grpo"
    trial: str = "rehearsal"


@dataclass(frozen=True)
class Planned:
    argv: list[str]
    env: dict[str, str]

    @property
    def plan(self) -> Plan:
        at = self.argv.index("--")
        return Plan.read(self.argv[at - 1], tuple(self.argv[at + 1 :]))


def planned(jobs: Mapping[str, Job], samples: str, folder: Path) -> dict[str, Planned]:
    """The command that tries each job, whose run directory lies below ``folder``."""
    rewards = ROOT / "environments/node/trainyard_node/rewards"
    given = {
        "python": sys.executable,
        "places": {"samples": samples, "rewards": str(rewards)},
        "jobs": {
            name: {
                "recipe": job.recipe, "values": dict(job.values), "overrides": job.overrides,
                "root": str(folder / name), "trial": job.trial,
            }
            for name, job in jobs.items()
        },
    }  # fmt: skip
    made = subprocess.check_output(
        [str(PLATFORM), "-c", MAKE], input=json.dumps(given), text=True, cwd=ROOT
    )
    return {name: Planned(**each) for name, each in json.loads(made).items()}
