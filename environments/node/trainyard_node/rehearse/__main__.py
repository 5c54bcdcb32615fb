"""`python -m trainyard_node.rehearse PLAN -- COMMAND...`: try a training job before it costs.

PLAN is JSON (see `plan.py`); COMMAND is the trainer's own. Each part of the rehearsal is told as it
ends. A part that fails lets the others of the same stage be tried, and nothing after them.

Exit codes: 0 when no part failed; 1 when one did; 2 for wrong use.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace

from trainyard_node.rehearse import legs, places, rows, scoring, shrink
from trainyard_node.rehearse.forks.begin import begin
from trainyard_node.rehearse.forks.server import Program
from trainyard_node.rehearse.stages import Check, go_through, plan_of
from trainyard_node.rehearse.told import Told

STAGES: tuple[dict[str, Check], ...] = (
    {
        "config": places.check_keys,
        "folders": places.check_folders,
        "packages": places.check_packages,
        "model": shrink.check_models,
        "data": rows.check_data,
    },
    {"reward": scoring.check_reward},
    {"training": legs.check_training},
    {"validation": legs.check_validation, "checkpoint": legs.check_checkpoint},
    {"resume": legs.check_resume},
)
LEFT = ("checkpoints", "model", "critic")  # large, and of no use once it was tried


def main(argv: Sequence[str] | None = None) -> int:
    """Rehearse what the command line says; see the module's exit codes."""
    plan = plan_of("trainyard_node.rehearse", __doc__, argv)
    forks = begin()
    if isinstance(forks, Program):
        return forks.run()
    try:
        plan.root.mkdir(parents=True, exist_ok=True)
        told = Told(tuple(name for stage in STAGES for name in stage))
        return go_through(replace(plan, python=forks.python), STAGES, told, LEFT)
    finally:
        forks.end()


if __name__ == "__main__":
    sys.exit(main())
