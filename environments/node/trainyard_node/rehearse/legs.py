"""Two steps by the trainer's own command, then one more from their checkpoint."""

import json
import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trainyard_node.examine import examine
from trainyard_node.rehearse.plan import Doubt, Fault, Plan
from trainyard_node.rehearse.running import run

METRICS = "metrics.jsonl"
RAY_PYTHON = "ray_kwargs.ray_init.runtime_env.py_executable"
VALIDATION = ("val-core/", "val-aux/", "val/", "val-")


def check_training(plan: Plan) -> str:
    """The first run, by random weights."""
    train(plan)
    said = f"{plan.steps} steps ran to their end"
    groups, flat = variance(plan.root / "rollouts")
    if groups:
        said += (
            f"; {flat} of {groups} groups of answers had no difference in their scores, which "
            "random weights do not tell from a fault"
        )
    return f"{said}."


def train(plan: Plan) -> dict[int, dict[str, Any]]:
    """Run the trainer: its steps with numbers, and no answer lost on the way. Raises Fault."""
    _run(plan, plan.root / METRICS)
    steps = steps_in(plan.root / METRICS)
    if done := [step for step in range(1, plan.steps + 1) if step not in steps]:
        raise Fault(f"The trainer ended without an error, and did not log step {done[0]}.")
    if bad := [name for data in steps.values() for name in _unreal(data)]:
        raise Fault(f"{bad[0]} is no number: the loss of a run that begins so does not recover.")
    if lost := _lost(plan.root):
        raise Fault(lost)
    return steps


def check_validation(plan: Plan) -> str:
    steps = steps_in(plan.root / METRICS)
    names = [name for data in steps.values() for name in data if name.startswith(VALIDATION)]
    if not names:
        raise Fault("No validation was logged.")
    return f"It was validated: {names[0]}."


def check_checkpoint(plan: Plan) -> str:
    folder = plan.root / f"checkpoints/global_step_{plan.steps}"
    if not folder.is_dir():
        raise Fault(f"There is no checkpoint of step {plan.steps}.")
    found = examine(folder)
    if found.faults and plan.cannot_resume:
        raise Doubt(f"It is saved, and holds no state to go on from: {found.faults[0]}")
    if found.faults:
        raise Fault(f"The checkpoint of step {plan.steps} is not whole: {found.faults[0]}")
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return f"The checkpoint of step {plan.steps} is whole: {size / 2**20:.0f} MiB."


def check_resume(plan: Plan) -> str:
    """The second run goes on from the checkpoint, by one step."""
    if plan.cannot_resume:
        raise Doubt(f"Not tried. {plan.cannot_resume}")
    metrics = plan.root / "resumed.jsonl"
    _run(plan, metrics, *plan.resume)
    steps = sorted(steps_in(metrics))
    if steps != [plan.steps + 1]:
        raise Fault(f"It should have done step {plan.steps + 1} alone, and logged {steps}.")
    return f"It went on from the checkpoint with step {steps[0]}."


def _run(plan: Plan, metrics: Path, *more: str) -> None:
    """Run the trainer's own command. Raises Fault."""
    argv, env = plan.argv, {"VERL_FILE_LOGGER_PATH": str(metrics)}
    if plan.python:
        argv = (plan.python, *argv[1:])
        env["PYTHON_EXEC"] = plan.python  # which torchrun starts
        more += (f'++{RAY_PYTHON}="{plan.python}"',) if plan.target == "rl" else ()
    run((*argv, *more), plan.root, env, plan.minutes)


def steps_in(path: Path) -> dict[int, dict[str, Any]]:
    """The metrics of each step that trained, by its number: one may be validated alone, before."""
    found: dict[int, dict[str, Any]] = defaultdict(dict)
    for line in lines_of(path):
        if isinstance(line.get("step"), int) and isinstance(line.get("data"), dict):
            found[line["step"]] |= line["data"]
    return {
        step: data
        for step, data in found.items()
        if step > 0 and not all(name.startswith(VALIDATION) for name in data)
    }


def lines_of(path: Path) -> Iterator[dict[str, Any]]:
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return
    for line in text.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            yield record


def _unreal(data: dict[str, Any]) -> list[str]:
    """The losses and gradient norms that are not finite, which verl's logger writes as null."""
    return [
        name
        for name, value in data.items()
        if name.endswith(("loss", "grad_norm"))
        and (value is None or (isinstance(value, float) and not math.isfinite(value)))
    ]


def _lost(folder: Path) -> str:
    """What the hooks counted of answers whose reward failed; empty for none."""
    kinds = ("answers_lost", "validation_lost")
    told = [line for line in lines_of(folder / "events.jsonl") if line.get("kind") in kinds]
    return str(told[-1].get("message", "Answers were lost.")) if told else ""


def variance(folder: Path) -> tuple[int, int]:
    """(groups, those of them in which all answers score the same) of the steps' rollouts."""
    groups: dict[tuple[str, Any], set[Any]] = defaultdict(set)
    for path in sorted(folder.glob("*.jsonl")):
        for line in lines_of(path):
            groups[path.stem, line.get("uid", line.get("input"))].add(line.get("score"))
    return len(groups), sum(len(scores) == 1 for scores in groups.values())
