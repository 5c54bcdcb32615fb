"""Which answers of several runs are laid side by side: for the page and the command."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from jobs.models import Job
from monitoring.answers import between
from monitoring.answers.between import Groups, Page, Side
from monitoring.answers.files import StepFile, nearest
from monitoring.answers.question import Question
from monitoring.answers.side_by_side import ROOM
from monitoring.page import answers
from monitoring.page.answer_forms import ROLLOUTS, VALIDATION
from monitoring.page.answers import Steps
from monitoring.page.between_forms import LETTERS
from platform_site.bounded.calls import call


@dataclass(frozen=True)
class Beside:
    """A run with the step of it that is shown; ``asked`` is the one that was asked for."""

    letter: str
    job: Job
    steps: Steps
    file: StepFile
    asked: int | None

    @property
    def step(self) -> int:
        return self.file.step

    @property
    def missing_step(self) -> int | None:
        return None if self.asked in (None, self.step) else self.asked

    @property
    def notes(self) -> list[str]:
        """What of its answers is not there, in sentences."""
        told = [answers.lost_in(self.job, self.steps), answers.incomplete(self.job)]
        if self.missing_step is not None:
            said = f"There are no answers of step {self.missing_step}: step {self.step} is shown,"
            told.append(f"{said} the nearest that has any.")
        return [one for one in told if one]


@dataclass(frozen=True)
class Runs:
    """What is laid side by side; ``without`` are runs that have no answers, and why."""

    kind: str
    beside: Sequence[Beside]
    without: Sequence[tuple[Job, str]]
    is_in_common: bool  # the same step of each run

    @property
    def can_compare(self) -> bool:
        return len(self.beside) > 1

    def place_of(self, number: int | None) -> int:
        """Where the run is whose difference from the first counts: the second, if none is named."""
        places = {one.job.pk: at for at, one in enumerate(self.beside)}
        return max(1, places.get(number or 0, 1))


def runs_of(jobs: Sequence[Job], kind: str, asked: Mapping[int, int | None]) -> Runs:
    """``asked`` are steps by the run's id. Of rollouts the last step that all runs have is shown,
    of validation each run's last: its prompts are the same in every step.

    Without a kind: validation where all runs have some.
    """
    if not kind:
        held = [answers.steps_of(job, VALIDATION, None).files for job in jobs]
        kind = VALIDATION if held and all(held) else ROLLOUTS
    found = {job.pk: answers.steps_of(job, kind, asked.get(job.pk)) for job in jobs}
    has = [job for job in jobs if found[job.pk].files]
    default = last_in_common([found[job.pk] for job in has]) if kind == ROLLOUTS else None
    beside = []
    for letter, job in zip(LETTERS, jobs, strict=False):
        steps, wanted = found[job.pk], asked.get(job.pk)
        if file := nearest([*steps.files], default if wanted is None else wanted):
            beside.append(Beside(letter, job, replace(steps, shown=file), file, wanted))
    without = [(job, answers.why_none(job, kind)) for job in jobs if job not in has]
    return Runs(kind, beside, without, len({one.step for one in beside}) == 1)


def last_in_common(runs: Sequence[Steps]) -> int | None:
    """None where the runs have no step in common."""
    numbers = [{file.step for file in steps.files} for steps in runs]
    return max(set.intersection(*numbers), default=None) if numbers else None


def page_asked(runs: Runs, question: Question, other: int | None) -> Page:
    """``other`` is the run whose difference from the first counts.

    Raises ``OSError`` and ``TooMuch``.
    """
    return call(answers.LIMITS, (), between.page, _sides(runs), question, runs.place_of(other))


def prompt_asked(runs: Runs, key: str, room: int = ROOM) -> Groups | None:
    """Raises ``OSError`` and ``TooMuch``."""
    return call(answers.LIMITS, (), between.prompt, _sides(runs), key, room)


def _sides(runs: Runs) -> list[Side]:
    """What is secret in one of the runs is not shown of any."""
    found = []
    for one in runs.beside:
        place = answers.place_of(one.job, runs.kind, one.file)
        found.append(Side(place, answers.run_of(one.job, runs.kind)))
    secrets = {secret for side in found for secret in side.run.about.secrets}
    hidden = sorted(secrets, key=len, reverse=True)
    return [
        replace(side, run=replace(side.run, about=replace(side.run.about, secrets=hidden)))
        for side in found
    ]
