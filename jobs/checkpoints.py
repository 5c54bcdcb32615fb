"""The checkpoints of a job over all its attempts, and the one to go on from."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from compute.machines.runners import runner_for
from compute.runners.base import Runner, RunnerError
from jobs import events, lifecycle
from jobs.models import Job
from jobs.verl.checkpoints import NEWEST_STEP_FILE, Checkpoint, find_checkpoints


@dataclass(frozen=True)
class Saved:
    """A checkpoint of one attempt; ``folder`` is its absolute path on the machine."""

    attempt: int
    folder: str
    facts: Checkpoint

    @property
    def step(self) -> int:
        return self.facts.step

    def to_json(self) -> dict[str, Any]:
        facts = asdict(self.facts) | {"modified": self.facts.modified.isoformat()}
        return {"attempt": self.attempt, "folder": self.folder, "facts": facts}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Saved":
        facts = data["facts"] | {"modified": datetime.fromisoformat(data["facts"]["modified"])}
        return cls(data["attempt"], data["folder"], Checkpoint(**facts))


@dataclass(frozen=True)
class Chosen:
    """The checkpoint to go on from, or None to begin anew; and what was refused, in sentences."""

    saved: Saved | None
    refused: tuple[str, ...] = ()


def saved_of(job: Job, runner: Runner) -> list[Saved]:
    """All checkpoints that the job as it stands now came by, newest first.

    An attempt that went on from step 20 makes what its forerunner saved after step 20 another
    story: it is left out. Raises ``RunnerError``.
    """
    found = list[Saved]()
    latest: int | None = None
    began = _began(job)
    for attempt in range(job.attempt, 0, -1):
        found += [
            saved
            for saved in _of_attempt(job, attempt, runner)
            if latest is None or saved.step <= latest
        ]
        if attempt in began:
            latest = began[attempt] if latest is None else min(latest, began[attempt])
    return found


def list_checkpoints(job: Job) -> None:
    """Keep what a far machine has, so that pages need not ask it. Raises ``RunnerError``."""
    if not job.machine.is_local:
        found = [saved.to_json() for saved in saved_of(job, runner_for(job.machine))]
        lifecycle.touch(job, checkpoints=found, listing_due=False)


def known_of(job: Job) -> list[Saved]:
    """The checkpoints as far as they are known here, without asking a far machine."""
    if not job.machine.is_local:
        return [Saved.from_json(data) for data in job.checkpoints]
    try:
        return saved_of(job, runner_for(job.machine))
    except RunnerError:
        return []


def _began(job: Job) -> dict[int, int]:
    """The step that each attempt went on from; an attempt that never started has none."""
    rows = job.events.filter(kind=events.RESUMED).values_list("attempt", "data")
    return {attempt: int(data.get("step", 0)) for attempt, data in rows}


def _of_attempt(job: Job, attempt: int, runner: Runner) -> Iterator[Saved]:
    run_dir = job.machine.attempt_dir(job.uuid, attempt)
    latest = runner.read(f"{run_dir}/checkpoints/{NEWEST_STEP_FILE}", 0, 20).strip()
    files = runner.files(f"{run_dir}/checkpoints")
    for facts in find_checkpoints(files, int(latest) if latest.isdigit() else 0):
        yield Saved(attempt, f"{run_dir}/{facts.path}", facts)


def choose(job: Job, runner: Runner, wanted: int | None) -> Chosen:
    """The checkpoint of the wanted step, or else the newest that can be gone on from.

    Each is looked into before it is taken: a broken one is refused, and the one before is tried.
    Raises ``RunnerError`` when the wanted one is not there or broken, or all are broken.
    """
    refused = list[str]()
    candidates = [saved for saved in saved_of(job, runner) if wanted in (None, saved.step)]
    if wanted is not None and not candidates:
        raise RunnerError(f"There is no checkpoint of step {wanted} any more.")
    for saved in candidates:
        if not saved.facts.complete:
            refused.append(f"The checkpoint of step {saved.step} is not complete: it was cut off.")
            continue
        examined = runner.examine(saved.folder)
        if examined.whole:
            return Chosen(saved, tuple(refused))
        faults = " ".join(examined.faults)
        refused.append(f"The checkpoint of step {saved.step} cannot be gone on from: {faults}")
    if any(saved.facts.complete for saved in candidates) or (refused and wanted is not None):
        raise RunnerError(" ".join(refused))
    return Chosen(None, tuple(refused))
