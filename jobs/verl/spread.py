"""Choose the number of Ray nodes of a run, and of devices on each."""

from collections.abc import Sequence

from jobs.process import Spread
from jobs.verl.algorithms import ALGORITHMS, is_rl
from jobs.verl.spec import TrainSpec


def spread_over(kind: str, gpus: int, nodes: Sequence[int]) -> Spread:
    """Choose how many ``nodes`` and devices a run of ``gpus`` takes; one node if one has enough.

    ``nodes`` lists the devices of each node. verl takes equally many of each node
    (``trainer.nnodes`` times ``trainer.n_gpus_per_node``), so the fewest nodes that divide the
    devices evenly are taken. Raises ``ValueError`` with a sentence when there is no such way.
    """
    most = len(nodes) if not ALGORITHMS[kind].torchrun else 1
    for count in range(1, most + 1):
        per_node = gpus // count
        if gpus % count == 0 and sum(has >= per_node for has in nodes) >= count:
            return Spread(count, per_node)
    shown = ", ".join(map(str, sorted(nodes, reverse=True))) or "none"
    if ALGORITHMS[kind].torchrun:
        raise ValueError(
            f"torchrun starts {kind.upper()}, on one node: none has {gpus} devices ({shown})."
        )
    raise ValueError(
        f"{gpus} devices cannot be taken evenly from the nodes, which have {shown}: verl takes "
        "equally many of each."
    )


def takes_devices(spec: TrainSpec) -> bool:
    """Ray counts devices for a run by verl's actors, on the CPU too; torchrun's ranks need none."""
    return is_rl(spec.kind) or spec.values.get("device") == "cuda"
