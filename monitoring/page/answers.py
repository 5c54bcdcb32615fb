"""Where the answers of a run lie, and what of them was asked for: for the page and the command."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from compute.machines.runners import copy_here
from jobs import events
from jobs.launch import command as commands
from jobs.models import Job
from jobs.places import mirror_folder
from jobs.trackers import accounts
from monitoring.answers import asked as ask
from monitoring.answers.advantage import Method
from monitoring.answers.checking import Check
from monitoring.answers.files import StepFile, nearest, step_files
from monitoring.answers.over_steps import Place, Row, Spread, spread_of
from monitoring.answers.prompts import Page
from monitoring.answers.question import About, Question
from monitoring.answers.side_by_side import ROOM, Answers
from monitoring.copies import answers_left_out
from monitoring.page.answer_forms import KINDS, ROLLOUTS, VALIDATION, AnswersForm
from monitoring.store import points
from platform_site.bounded.calls import call
from platform_site.bounded.limits import PAGE

LOST = {ROLLOUTS: events.RUN_ANSWERS_LOST, VALIDATION: events.RUN_VALIDATION_LOST}
LIMITS = PAGE
LOGGED = "critic/advantages/mean"
COLUMNS = "columns"  # the folder beside the copies of a run's files where columns are kept
# What verl takes where a command says nothing.
ESTIMATOR, LONGEST = "gae", "512"


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
    attempts = range(1, job.attempt + 1)
    files = step_files((attempt, folder_here(job, attempt) / kind) for attempt in attempts)
    return Steps(kind, files, nearest(files, asked))


def folder_here(job: Job, attempt: int) -> Path:
    """The files of an attempt as far as they lie here: its own, or the copies of a far run's."""
    here = copy_here(job.machine, job.machine.attempt_dir(job.uuid, attempt))
    return here or mirror_folder(job.uuid) / f"attempt-{attempt}"


def place_of(job: Job, kind: str, file: StepFile) -> Place:
    kept = mirror_folder(job.uuid) / f"attempt-{file.attempt}" / COLUMNS / kind
    return Place(file.step, file.path, kept / f"{file.step}.npz")


def run_of(job: Job, kind: str) -> ask.Run:
    """What is known of a run: how it computes advantages, its longest answer, its secrets."""
    values = _settings(job)
    longest = values.get("data.max_response_length", LONGEST)
    limit = int(longest) if values and longest.isdecimal() else None
    method = _method(values) if kind == ROLLOUTS else Method()  # validation trains nothing
    return ask.Run(About(limit, accounts.secret_values(job)), method)


def _settings(job: Job) -> Mapping[str, str]:
    """The values of its command; none where it has no command that names any."""
    try:
        settings = commands.command_of(job).settings
    except ValueError:
        return {}
    return {each.key.lstrip("+"): each.text.partition("=")[2].strip("'\"") for each in settings}


def _method(values: Mapping[str, str]) -> Method:
    if not values:
        return Method()
    try:
        gamma = float(values.get("algorithm.gamma", "1"))
    except ValueError:
        gamma = 1.0
    return Method(
        estimator=values.get("algorithm.adv_estimator", ESTIMATOR),
        by_deviation=values.get("algorithm.norm_adv_by_std_in_grpo", "true").lower() == "true",
        gamma=gamma,
        has_kl=values.get("algorithm.use_kl_in_reward", "false").lower() == "true",
    )


def why_none(job: Job, kind: str) -> str:
    """Why there is nothing to show, in a sentence."""
    if not job.job_kind.writes_answers:
        return f"{job.kind_label} asks the model for no answers: there is nothing to show."
    if not job.started_at:
        return "The job has not started yet. Its answers appear here with its first step."
    which = KINDS[kind].lower()
    when = "its first evaluation" if kind == VALIDATION else "its first step"
    if job.is_over and not job.machine.is_local:
        there = f"{job.run_dir}/{kind} on {job.machine}"
        return f"No answers of {which} were brought here. What the run wrote lies in {there}."
    if job.is_over:
        return f"The run wrote no answers of {which}."
    return f"There are no answers of {which} yet. They appear here with {when}."


def incomplete(job: Job) -> str:
    """Why the copies here lack answers of the run, in a sentence; empty where they do not."""
    return answers_left_out(job)


def lost_in(job: Job, steps: Steps) -> str:
    """What the run said of answers that failed in the step; empty where it said nothing."""
    if steps.shown is None:
        return ""
    told = job.events.filter(kind=LOST[steps.kind], attempt=steps.shown.attempt)
    return next((one.message for one in told if one.data.get("step") == steps.shown.step), "")


def page_asked(job: Job, steps: Steps, form: AnswersForm) -> tuple[Page, Check] | None:
    """Raises ``OSError``, and ``TooMuch`` for a search that takes too long."""
    if steps.shown is None:
        return None
    at, question = place_of(job, steps.kind, steps.shown), form.question()
    before = before_of(job, steps, question)
    logged = _logged(job, steps)
    return call(LIMITS, (), ask.page, at, before, question, run_of(job, steps.kind), logged)


def before_of(job: Job, steps: Steps, question: Question) -> Place | None:
    """The step before where it is compared with: in validation, whose prompts are the same, and
    where that is asked for."""
    is_asked = question.only == "changed" or question.sort.lstrip("-") == "change"
    if steps.before is None or not (is_asked or steps.kind == VALIDATION):
        return None
    return place_of(job, steps.kind, steps.before)


def _logged(job: Job, steps: Steps) -> float | None:
    """verl's mean of the advantages in the step."""
    if steps.kind != ROLLOUTS or steps.shown is None:
        return None
    step = steps.shown.step
    found = points.at_steps({job.pk: [step]}, [LOGGED])
    return found.get(job.pk, {}).get(step, {}).get(LOGGED)


def prompt_asked(
    job: Job, steps: Steps, key: str, room: int = ROOM
) -> tuple[Answers, list[Row]] | None:
    """The answers to one prompt, and what it scored in the steps beside. Raises ``OSError`` and
    ``TooMuch``."""
    if steps.shown is None:
        return None
    files = [file for file in (steps.before, steps.shown, steps.after) if file]
    beside = [place_of(job, steps.kind, file) for file in files]
    at = place_of(job, steps.kind, steps.shown)
    return call(LIMITS, (), ask.prompt, at, beside, key, run_of(job, steps.kind), room)


def spread_asked(job: Job, steps: Steps, part: str = "") -> Spread:
    """How scores, lengths and a part of the reward are spread over the run. Raises ``TooMuch``."""
    return call(LIMITS, (), spread_of, _places(job, steps), part)


def prompt_over_asked(job: Job, steps: Steps, key: str) -> list[Row] | None:
    """What one prompt scored over the run. Raises ``OSError`` and ``TooMuch``."""
    if steps.shown is None:
        return None
    at = place_of(job, steps.kind, steps.shown)
    return call(LIMITS, (), ask.prompt_over, at, _places(job, steps), key)


def _places(job: Job, steps: Steps) -> list[Place]:
    return [place_of(job, steps.kind, file) for file in steps.files]
