"""Where the answers of a run lie, and what of them was asked for: for the page and the command."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from compute.machines.runners import copy_here, is_cut
from jobs import events
from jobs.models import Job
from monitoring.answers.files import StepFile, nearest, step_files
from monitoring.answers.prompts import Page, page_of
from monitoring.answers.side_by_side import ROOM, Answers, answers_of
from monitoring.page.answer_forms import KINDS, ROLLOUTS, VALIDATION, AnswersForm
from platform_site.bounded.calls import call
from platform_site.bounded.limits import PAGE

LOST = {ROLLOUTS: events.RUN_ANSWERS_LOST, VALIDATION: events.RUN_VALIDATION_LOST}
LIMITS = PAGE


@dataclass(frozen=True)
class Steps:
    """The steps that have answers, and the one that is shown, with those beside it."""

    kind: str
    files: Sequence[StepFile]
    shown: StepFile | None

    @property
    def place(self) -> int:
        return self.files.index(self.shown) if self.shown else 0

    @property
    def before(self) -> StepFile | None:
        return self.files[self.place - 1] if self.place else None

    @property
    def after(self) -> StepFile | None:
        return self.files[self.place + 1] if self.place + 1 < len(self.files) else None


def steps_of(job: Job, kind: str, asked: int | None) -> Steps:
    """The step that was asked for, or the nearest that there is."""
    files = step_files(_folders(job, kind))
    return Steps(kind, files, nearest(files, asked))


def _folders(job: Job, kind: str) -> list[tuple[int, Path]]:
    """The folder of each attempt, as far as it lies here."""
    found = []
    for attempt in range(1, job.attempt + 1):
        here = copy_here(job.machine, job.machine.attempt_dir(job.uuid, attempt))
        if here is not None:
            found.append((attempt, here / kind))
    return found


def why_none(job: Job, kind: str) -> str:
    """Why there is nothing to show, in a sentence."""
    if not job.job_kind.writes_answers:
        return f"{job.kind_label} asks the model for no answers: there is nothing to show."
    if copy_here(job.machine, job.run_dir) is None:
        return (
            f"The answers of this run lie in {job.run_dir}/{kind} on {job.machine}. Trainyard does "
            "not bring them here from such a machine."
        )
    if not job.started_at:
        return "The job has not started yet. Its answers appear here with its first step."
    which = KINDS[kind].lower()
    when = "its first evaluation" if kind == VALIDATION else "its first step"
    if job.is_over:
        return f"The run wrote no answers of {which}."
    return f"There are no answers of {which} yet. They appear here with {when}."


def is_incomplete(job: Job) -> bool:
    """Whether the copy here lacks files of the run, for want of room."""
    return not job.machine.is_local and is_cut(job.machine, job.run_dir)


def lost_in(job: Job, steps: Steps) -> str:
    """What the run said of answers that failed in the step; empty where it said nothing."""
    if steps.shown is None:
        return ""
    told = job.events.filter(kind=LOST[steps.kind], attempt=steps.shown.attempt)
    return next((one.message for one in told if one.data.get("step") == steps.shown.step), "")


def page_asked(steps: Steps, form: AnswersForm) -> Page | None:
    """Raises ``OSError``, and ``TooMuch`` for a search that takes too long."""
    return call(LIMITS, (), page_of, steps.shown.path, form.question()) if steps.shown else None


def prompt_asked(steps: Steps, key: str, room: int = ROOM) -> Answers | None:
    """The answers to one prompt. Raises ``OSError`` and ``TooMuch``."""
    if steps.shown is None:
        return None
    before = steps.before.path if steps.before else None
    after = steps.after.path if steps.after else None
    return call(LIMITS, (), answers_of, steps.shown.path, key, before, after, room)
