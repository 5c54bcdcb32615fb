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
``until``       a file: before it is there, the last step waits; then there are no pauses
``starts``      a file to which each trainer that starts adds a line: run, attempt, process, device
``copy``        a file that becomes its metrics at once, in place of steps of its own
``saves``       save and pause when asked to, as the node's hooks do, and go on from a checkpoint
``runs``        plans of single runs, by the name of the folder that holds their attempts

It also writes its own arguments to ``argv.json``, so that a test sees what arrived.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

LOOK_EVERY = 0.01
IGNORES_TERM = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.pause()"


def main() -> int:
    plan: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
    plan |= plan.get("runs", {}).get(Path.cwd().parent.name, {})
    if "starts" in plan:
        tell_start(Path(plan["starts"]))
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
    return train(plan)


def train(plan: dict[str, Any]) -> int:
    steps = plan.get("steps", 3)
    log(f"Total training steps: {plan.get('says', steps)}")
    if "copy" in plan:
        shutil.copyfile(plan["copy"], os.environ["VERL_FILE_LOGGER_PATH"])
        return int(plan.get("exit", 0))
    with Path(os.environ["VERL_FILE_LOGGER_PATH"]).open("wb") as metrics:
        for step in range(begins_after() + 1, steps + 1):
            wait_for_leave(plan, step)
            if step == plan.get("crash_at"):
                raise RuntimeError("CUDA out of memory, said the fake")
            take_time(plan, last=step == steps)
            line = {"step": step, "data": {"train/loss": 1 / step, "train/lr": 0.001 * step}}
            metrics.write(json.dumps(line).encode() + b"\n")
            metrics.flush()
            log(f"step:{step} - train/loss:{1 / step}")
            if plan.get("saves") and answers(step) == "pause" and step < steps:
                return 0
    return int(plan.get("exit", 0))


def tell_start(path: Path) -> None:
    """Add the line by one write, so that trainers side by side do not mix their lines."""
    device = os.environ.get("CUDA_VISIBLE_DEVICES", "-")
    line = f"{Path.cwd().parent.name} {Path.cwd().name} {os.getpid()} {device}\n"
    with path.open("ab", buffering=0) as file:
        file.write(line.encode())


def begins_after() -> int:
    """The step of the checkpoint in the command; 0 without one."""
    found = [part for part in sys.argv if part.startswith("trainer.resume_from_path=")]
    return int(found[0].rpartition("global_step_")[2].strip("'\"")) if found else 0


def take_time(plan: dict[str, Any], *, last: bool) -> None:
    if "until" not in plan:
        time.sleep(plan.get("pause", 0))
        return
    ends = time.monotonic() + plan.get("pause", 0)
    while (last or time.monotonic() < ends) and not Path(plan["until"]).exists():
        time.sleep(min(LOOK_EVERY * 5, plan.get("pause", LOOK_EVERY)))


def answers(step: int) -> str:
    """Save if a save or a pause is requested; return the request."""
    for name in ("pause", "save"):
        if Path("control", name).exists():
            save(step)
            Path("control", name).unlink()
            if name == "pause":
                said = {"at": time.time(), "kind": "paused", "message": "paused", "step": step}
                with Path("events.jsonl").open("ab", buffering=0) as file:
                    file.write(json.dumps(said).encode() + b"\n")
            return name
    return ""


def save(step: int) -> None:
    """Make a checkpoint in verl's form, with meaningless file contents."""
    folder = Path("checkpoints", f"global_step_{step}")
    folder.mkdir(parents=True)
    for part in ("model", "optim", "extra_state"):
        empty(folder / f"{part}_world_size_1_rank_0.pt")
    empty(folder / "data_0.pt")
    (folder / "fsdp_config.json").write_text('{"world_size": 1}')
    (folder.parent / "latest_checkpointed_iteration.txt").write_text(str(step))


def empty(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"")


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
