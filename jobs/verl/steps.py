"""The number of steps that a run promises, and the verdict on its end."""

from dataclasses import dataclass

from jobs.verl.kinds import is_rl
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


@dataclass(frozen=True)
class Verdict:
    """``status`` is completed, failed, stopped or paused; ``reason`` explains it in a sentence."""

    status: str
    reason: str


def judge(
    exit_code: int,
    step: int,
    steps: int | None,
    stop_asked: bool,
    paused_at: int | None = None,
    then_stop: bool = False,
) -> Verdict:
    """Judge a run by its exit. Exit code 0 alone is never success.

    ``paused_at`` is the step of the checkpoint that the run reports as saved before it ended on
    request; ``then_stop`` says that the request was to stop for good.
    """
    progress = f"step {step} of {steps}" if steps else f"step {step}"
    if exit_code == 0 and steps and step >= steps:
        return Verdict("completed", f"All {steps} steps done.")
    if exit_code == 0 and paused_at is not None:
        status, word = ("stopped", "Stopped") if then_stop else ("paused", "Paused")
        return Verdict(status, f"{word} after step {paused_at}, whose checkpoint is saved.")
    if stop_asked:
        return Verdict("stopped", f"Stopped on request at {progress}.")
    if exit_code == 0 and steps is None:
        return Verdict("failed", f"Ended without an error at {progress}, but promised no steps.")
    if exit_code == 0:
        return Verdict("failed", f"Ended without an error, but at {progress}.")
    if exit_code > 128:
        return Verdict("failed", f"Killed by signal {exit_code - 128} at {progress}.")
    return Verdict("failed", f"Exit code {exit_code} at {progress}.")
