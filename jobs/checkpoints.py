"""The checkpoints of a job over all its attempts, and the one to go on from.

Pages read what was last listed. The disk is walked when a save was told of, at a run's end, and
before an attempt goes on from one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from compute.machines.runners import runner_for
from compute.runners.base import Runner, RunnerError
from jobs import events, lifecycle
from jobs.artifacts import keeping
from jobs.artifacts.keeping import Found
from jobs.models import Artifact, Job, Place
from jobs.verl.checkpoints import NEWEST_STEP_FILE, find_checkpoints


@dataclass(frozen=True)
class Saved:
    """A checkpoint of one attempt; ``folder`` is its absolute path on the run's machine."""

    artifact: Artifact
    folder: str

    @property
    def step(self) -> int:
        return self.artifact.step or 0

    @property
    def attempt(self) -> int:
        return self.artifact.attempt or 0


@dataclass(frozen=True)
class Chosen:
    """The checkpoint to go on from, or None to begin anew; and what was refused, in sentences."""

    saved: Saved | None
    refused: tuple[str, ...] = ()


def list_checkpoints(job: Job) -> None:
    """Look what is on the job's machine, and keep it. Raises ``RunnerError``."""
    _list(job, runner_for(job.machine))


def _list(job: Job, runner: Runner) -> None:
    found = list[Found]()
    for attempt in range(job.attempt, 0, -1):
        found += _of_attempt(job, attempt, runner)
    keeping.keep_checkpoints(job, found)
    lifecycle.touch(job, listing_due=False)


def _of_attempt(job: Job, attempt: int, runner: Runner) -> Iterator[Found]:
    run_dir = job.machine.attempt_dir(job.uuid, attempt)
    latest = runner.read(f"{run_dir}/checkpoints/{NEWEST_STEP_FILE}", 0, 20).strip()
    files = runner.files(f"{run_dir}/checkpoints")
    for facts in find_checkpoints(files, int(latest) if latest.isdigit() else 0):
        yield Found(attempt, f"{run_dir}/{facts.path}", facts)


def known_of(job: Job) -> list[Saved]:
    """All checkpoints that the job as it stands now came by, newest first, as they were last
    listed. No machine is asked.

    An attempt that went on from step 20 makes what its forerunner saved after step 20 another
    story: it is left out.
    """
    places = Place.objects.there().filter(
        machine=job.machine_id, artifact__job=job, artifact__kind=Artifact.Kind.CHECKPOINT
    )
    newest_first = places.order_by("-artifact__attempt", "-artifact__step")
    last = _last_steps(job)
    return [
        Saved(place.artifact, place.path)
        for place in newest_first.select_related("artifact")
        if place.artifact.step is not None
        and place.artifact.step <= last.get(place.artifact.attempt, place.artifact.step)
    ]


def _last_steps(job: Job) -> dict[int | None, int]:
    """Up to which step each attempt is part of the story; all of it where there is no entry."""
    if job.attempt == 1:
        return {}
    began = _began(job)
    last: dict[int | None, int] = {}
    for attempt in range(job.attempt - 1, 0, -1):
        steps = [each[attempt + 1] for each in (began, last) if attempt + 1 in each]
        if steps:
            last[attempt] = min(steps)
    return last


def _began(job: Job) -> dict[int, int]:
    """The step that each attempt went on from; an attempt that never started has none."""
    told = job.events.of_platform().filter(kind=events.RESUMED)
    rows = told.values_list("attempt", "data")
    return {attempt: int(data.get("step", 0)) for attempt, data in rows}


def choose(job: Job, runner: Runner, wanted: int | None) -> Chosen:
    """The checkpoint of the wanted step, or else the newest that can be gone on from.

    Each is looked into before it is taken: a broken one is refused, and the one before is tried.
    Raises ``RunnerError`` when the wanted one is not there or broken, or all are broken.
    """
    _list(job, runner)
    refused = list[str]()
    candidates = [saved for saved in known_of(job) if wanted in (None, saved.step)]
    if wanted is not None and not candidates:
        raise RunnerError(f"There is no checkpoint of step {wanted} any more.")
    for saved in candidates:
        if saved.artifact.is_unfinished:
            refused.append(f"The checkpoint of step {saved.step} is not complete: it was cut off.")
            continue
        examined = runner.examine(saved.folder)
        keeping.keep_verdict(saved.artifact, examined.faults)
        if examined.whole:
            return Chosen(saved, tuple(refused))
        faults = " ".join(examined.faults)
        refused.append(f"The checkpoint of step {saved.step} cannot be gone on from: {faults}")
    finished = any(not saved.artifact.is_unfinished for saved in candidates)
    if finished or (refused and wanted is not None):
        raise RunnerError(" ".join(refused))
    return Chosen(None, tuple(refused))
