"""How many steps a run promises."""

from jobs.verl.algorithms import is_rl
from jobs.verl.knobs import number, value_of
from jobs.verl.overrides import readable
from jobs.verl.spec import TrainSpec


def steps_per_epoch(spec: TrainSpec, rows: int) -> int:
    """The steps of one epoch over ``rows``, as verl 0.9 counts them: a last partial batch is
    dropped.

    SFT and DPO first split rows and batch over the data-parallel ranks (``DistributedSampler`` with
    ``drop_last``); RL has one loader for all ranks.
    """
    batch = number(spec, "train_batch_size")
    if is_rl(spec.kind):
        return rows // batch
    ranks = max(1, number(spec, "gpus") // number(spec, "sequence_parallel"))
    return (rows // ranks) // max(1, batch // ranks)


def rows_used(spec: TrainSpec, rows: int) -> int:
    """The number of rows after ``data.train_max_samples``, when a free override sets it."""
    for override in readable(spec.overrides):
        if override.key == "data.train_max_samples" and isinstance(override.value, int):
            return min(rows, override.value) if override.value > 0 else rows
    return rows


def promised(spec: TrainSpec, rows: int) -> int:
    """The last step of a run over ``rows`` rows: the requested steps, else those of all epochs."""
    steps = value_of(spec, "steps")
    if steps is not None:
        return int(steps)
    return steps_per_epoch(spec, rows_used(spec, rows)) * number(spec, "epochs")
