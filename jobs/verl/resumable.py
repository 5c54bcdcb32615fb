"""Say whether a run can save a checkpoint that it can resume from."""

from jobs.verl.knobs import chosen
from jobs.verl.spec import LATEST, TrainSpec

NEEDED = ("model", "optimizer", "extra")


def refusal(spec: TrainSpec) -> str:
    """The reason why it cannot, as a sentence; empty when it can.

    Pausing needs hooks that ``trainyard_node`` has for the newest release only: older releases have
    no plug-in point. A run cannot resume from a checkpoint without the optimizer or the random
    state.
    """
    if spec.verl != LATEST:
        return f"verl {spec.verl} saves at its own times only: pausing needs verl {LATEST}."
    contents = chosen(spec, "save_contents")
    missing = [part for part in NEEDED if contents and part not in contents]
    if missing:
        return f"Its checkpoints leave out {', '.join(missing)}: it could not go on from one."
    return ""
