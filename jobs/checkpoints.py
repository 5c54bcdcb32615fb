"""The checkpoints of a job over all its attempts, and the one to go on from.

Pages read what was last listed. The disk is walked when a save was told of, at a run's end, and
before an attempt goes on from one.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from compute.machines.runners import runner_for
from compute.runners.base import Runner, RunnerError
from jobs import lifecycle, listeners
from jobs.artifacts import keeping
from jobs.artifacts.keeping import Found
from jobs.artifacts.story import Saved, known_of
from jobs.models import Job
from jobs.verl.checkpoints import NEWEST_STEP_FILE, find_checkpoints
from jobs.work import later

log = logging.getLogger(__name__)
ASK = "Resume it from another checkpoint, or from the beginning."


@dataclass(frozen=True)
class Chosen:
    """The checkpoint to go on from, or None to begin anew; and what was refused, in sentences."""

    saved: Saved | None
    refused: tuple[str, ...] = ()


def list_checkpoints(job: Job, *, is_over: bool = False) -> None:
    """Look what is on the job's machine, and keep it. Raises ``RunnerError``.

    What nobody writes any more and verl does not call saved is looked into: verl's word may be
    lost. ``is_over`` says that of the current attempt too.
    """
    runner = runner_for(job.machine)
    _list(job, runner)
    is_over = is_over or not job.is_active
    for saved in known_of(job):
        if saved.artifact.is_unfinished and (is_over or saved.attempt < job.attempt):
            try:
                _examine(saved, runner)
            except RunnerError as error:  # it is looked into again before anything goes on from it
                log.warning("%s cannot be examined: %s", saved.folder, error)
    if listeners.want_saved(job):
        later("jobs.tasks.tell_saved", job.pk)


def _examine(saved: Saved, runner: Runner) -> Sequence[str]:
    """What is wrong with a checkpoint, in sentences, which are kept. Raises ``RunnerError``."""
    faults = runner.examine(saved.folder).faults
    keeping.keep_verdict(saved.artifact, faults)
    return faults


def _list(job: Job, runner: Runner) -> list[Found]:
    found = list[Found]()
    for attempt in range(job.attempt, 0, -1):
        found += _of_attempt(job, attempt, runner)
    keeping.keep_checkpoints(job, found)
    lifecycle.touch(job, listing_due=False)
    return found


def _of_attempt(job: Job, attempt: int, runner: Runner) -> Iterator[Found]:
    run_dir = job.machine.attempt_dir(job.uuid, attempt)
    latest = runner.read(f"{run_dir}/checkpoints/{NEWEST_STEP_FILE}", 0, 20).strip()
    files = runner.files(f"{run_dir}/checkpoints")
    for facts in find_checkpoints(files, int(latest) if latest.isdigit() else 0):
        yield Found(attempt, f"{run_dir}/{facts.path}", facts)


def choose(job: Job, runner: Runner, wanted: int | None) -> Chosen:
    """The checkpoint of the wanted step, or else the newest that can be gone on from. Step 0 is the
    beginning, without any.

    Each is looked into before it is taken: a broken one is refused, and the one before is tried.
    Raises ``RunnerError`` when the wanted one is not there or broken, or none can be used: whether
    to begin anew is then for a person to say.
    """
    if wanted == 0:
        return Chosen(None)
    found = _list(job, runner)
    refused = list[str]()
    candidates = [saved for saved in known_of(job) if wanted in (None, saved.step)]
    if wanted is not None and not candidates:
        raise RunnerError(f"There is no checkpoint of step {wanted} any more.")
    for saved in candidates:
        faults = _examine(saved, runner)
        if not faults:
            return Chosen(saved, tuple(refused))
        refused.append(
            f"The checkpoint of step {saved.step} cannot be gone on from: {' '.join(faults)}"
        )
    if wanted is not None or (candidates and not _is_first_save(found)):
        raise RunnerError(" ".join([*refused, ASK]))
    return Chosen(None, tuple(refused))


def _is_first_save(found: Sequence[Found]) -> bool:
    """Whether all that is there is the first save of the run, which verl does not call done."""
    return len(found) == 1 and not found[0].facts.complete
