"""Fakes of parts that cannot run in a unit test. The name of each says that it is a fake."""

import json
import shlex
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
NODE = HERE.parent.parent / "environments/node"

LAUNCHER = """#!/bin/sh
# The node's commands run for real; the trainer is a fake.
case "$2" in
  trainyard_node.samples) echo "the fake makes no samples" >&2; exit 1 ;;
  trainyard_node.*) PYTHONPATH={node} exec {python} "$@" ;;
esac
case "$1" in
  -c) PYTHONPATH={node} exec {python} "$@" ;;
esac
exec {python} {fake} {plan} "$@"
"""


class FakeTrainer:
    """A ``Machine.python`` with a fake trainer, which keeps to a plan (see fake_trainer.py)."""

    def __init__(
        self,
        folder: Path,
        python: str = sys.executable,
        node: Path = NODE,
        fake: Path = HERE / "fake_trainer.py",
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.python = str(folder / "fake_trainer_python")
        values = {
            "node": node,
            "python": python,
            "fake": fake,
            "plan": folder / "plan.json",
        }
        quoted = {name: shlex.quote(str(value)) for name, value in values.items()}
        Path(self.python).write_text(LAUNCHER.format(**quoted))
        Path(self.python).chmod(0o755)
        self.plan()

    def plan(self, **plan: Any) -> None:
        """Set the plan of the next trainer. With ``gated=True`` each step waits for `go`."""
        if plan.pop("gated", False):
            plan["go"] = str(self.folder / "go")
        (self.folder / "plan.json").write_text(json.dumps(plan))

    def go(self, step: int) -> None:
        """Allow all steps up to this one."""
        part = self.folder / "go.part"
        part.write_text(str(step))
        part.rename(self.folder / "go")
