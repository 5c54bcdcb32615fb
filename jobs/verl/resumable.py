"""Whether a run can be asked for a checkpoint that it can go on from."""

from jobs.verl.knobs import chosen
from jobs.verl.spec import LATEST, TrainSpec

NEEDED = ("model", "optimizer", "extra")


def refusal(spec: TrainSpec) -> str:
    """Why not, as a sentence; empty when it can.

    Pausing hangs on hooks that ``trainyard_node`` has for the newest release only: older ones have
    no plug-in point. A checkpoint without the optimizer or the random state cannot be gone on from.
    """
    if spec.verl != LATEST:
        return f"verl {spec.verl} saves at its own times only: pausing needs verl {LATEST}."
    contents = chosen(spec, "save_contents")
    missing = [part for part in NEEDED if contents and part not in contents]
    if missing:
        return f"Its checkpoints leave out {', '.join(missing)}: it could not go on from one."
    return ""
