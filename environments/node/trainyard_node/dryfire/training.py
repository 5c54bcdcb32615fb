"""The trainer's own command, with its phases and its cards watched."""

import os

from trainyard_node.attempt import Lines
from trainyard_node.dryfire import measured
from trainyard_node.dryfire.watch import Watch
from trainyard_node.hooks import phases
from trainyard_node.rehearse import legs
from trainyard_node.rehearse.plan import Doubt, Fault, Plan
from trainyard_node.rehearse.running import MEMORY

OF_HOST = (
    "ray.exceptions.OutOfMemoryError"  # Ray ended a worker, since the machine's memory ran out
)


def check_training(plan: Plan) -> str:
    """Its steps with numbers. Raises Fault, which says in which phase memory ran out, and Doubt
    where answers ended early."""
    (plan.root / phases.FILE).touch()  # the hooks measure where it is
    try:
        with Watch(plan.root):
            steps = legs.train(plan)
    except Fault as fault:
        raise Fault(_with_phase(plan, str(fault))) from None
    shortest = steps[plan.steps].get("response_length/min")
    if plan.answer and isinstance(shortest, int | float) and shortest < plan.answer:
        raise Doubt(
            f"{plan.steps} steps ran to their end, but an answer ended after {shortest:.0f} tokens "
            f"of {plan.answer}: with full answers the peaks may be higher."
        )
    return f"{plan.steps} steps ran to their end."


def _with_phase(plan: Plan, said: str) -> str:
    phase, error = measured.broke_in(plan.root)
    whole = f"{said} {error}"
    if not MEMORY.search(whole):
        return said
    reason = said if MEMORY.search(said) else error
    if phase and OF_HOST not in reason:
        line = {"phase": phase, "state": measured.RAN_OUT, "pid": os.getpid()}
        Lines(plan.root / phases.FILE).append(line)
    where = f"in the phase {phase}" if phase else "before its first phase"
    return f"Memory ran out {where}. {reason}"
