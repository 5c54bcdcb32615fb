"""A trainer that only writes what verl would write: metrics, a little log, an exit code.

Called as ``fake_trainer.py PLAN …the trainer's own arguments…``. The plan is a JSON file:

``steps``       the last step (default 3)
``exit``        the exit code (default 0)
``crash_at``    raise in this step instead of writing it
``pause``       seconds between steps (default 0)
``grandchild``  start a process that ignores SIGTERM, its id in ``grandchild`` of the run directory
``stubborn``    ignore SIGTERM
``env``         a file to copy the environment into, as JSON
``echo``        the name of a variable whose value it prints, as careless code might
``go``          a file that holds the last step allowed so far; without one all are allowed

It also writes its own arguments to ``argv.json``, so that a test sees what arrived.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

LOOK_EVERY = 0.01
IGNORES_TERM = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.pause()"


def main() -> int:
    plan: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
    Path("argv.json").write_text(json.dumps(sys.argv[2:]))
    if "env" in plan:
        Path(plan["env"]).write_text(json.dumps(dict(os.environ)))
    if "echo" in plan:
        log(f"{plan['echo']}={os.environ[plan['echo']]}")
    if plan.get("stubborn"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if plan.get("grandchild"):
        child = subprocess.Popen([sys.executable, "-c", IGNORES_TERM])
        Path("grandchild").write_text(str(child.pid))
    steps = plan.get("steps", 3)
    log(f"Total training steps: {plan.get('says', steps)}")
    with Path(os.environ["VERL_FILE_LOGGER_PATH"]).open("wb") as metrics:
        for step in range(1, steps + 1):
            wait_for_leave(plan, step)
            if step == plan.get("crash_at"):
                raise RuntimeError("CUDA out of memory, said the fake")
            time.sleep(plan.get("pause", 0))
            line = {"step": step, "data": {"train/loss": 1 / step, "train/lr": 0.001 * step}}
            metrics.write(json.dumps(line).encode() + b"\n")
            metrics.flush()
            log(f"step:{step} - train/loss:{1 / step}")
    return int(plan.get("exit", 0))


def log(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def wait_for_leave(plan: dict[str, Any], step: int) -> None:
    while "go" in plan and step > allowed(Path(plan["go"])):
        time.sleep(LOOK_EVERY)


def allowed(path: Path) -> int:
    try:
        return int(path.read_text() or 0)
    except FileNotFoundError:
        return 0


if __name__ == "__main__":
    sys.exit(main())
