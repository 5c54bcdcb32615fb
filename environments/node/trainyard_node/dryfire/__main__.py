"""`python -m trainyard_node.dryfire PLAN -- COMMAND...`: the worst steps of a training job.

PLAN is JSON (see `rehearse/plan.py`); COMMAND is the trainer's own, with the model and on the GPUs
of the job. Each part is told as it ends, with the peaks of the phases that were measured by then.

Exit codes: 0 when no part failed; 1 when one did; 2 for wrong use.
"""

import sys
from collections.abc import Sequence

from trainyard_node.dryfire import measured, training
from trainyard_node.rehearse import legs, places, rows
from trainyard_node.rehearse.stages import Check, go_through, plan_of
from trainyard_node.rehearse.told import Told

STAGES: tuple[dict[str, Check], ...] = (
    {
        "config": places.check_keys,
        "folders": places.check_folders,
        "packages": places.check_packages,
        "data": rows.check_data,
    },
    {"training": training.check_training},
    {
        "validation": legs.check_validation,
        "checkpoint": legs.check_checkpoint,
        "memory": measured.check_memory,
    },
)
LEFT = ("checkpoints",)  # its size is told


def main(argv: Sequence[str] | None = None) -> int:
    """Dry-fire what the command line says; see the module's exit codes."""
    plan = plan_of("trainyard_node.dryfire", __doc__, argv)
    plan.root.mkdir(parents=True, exist_ok=True)
    names = tuple(name for stage in STAGES for name in stage)
    told = Told(names, "dryfire", "dry_fired", lambda: measured.found(plan))
    return go_through(plan, STAGES, told, LEFT)


if __name__ == "__main__":
    sys.exit(main())
