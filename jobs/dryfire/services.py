"""From a training job to its dry-fire, where the job itself will run."""

from dataclasses import replace
from datetime import timedelta

from django.contrib.auth.models import User

from compute.models import Machine
from compute.sizing import answer
from compute.sizing.answer import Time
from compute.sizing.question import Lengths, Question
from compute.sizing.speed.times import time_of
from jobs.files.model_folders import model_folder
from jobs.fit.services import ON_CPU, NotKnown, QuestionError, cards_of, question_on
from jobs.kinds.dryfire import DryFireSpec
from jobs.kinds.train import TRAINED
from jobs.launch.submit import NotSubmitted
from jobs.models import Job
from jobs.queue import claims
from jobs.rehearsal.trials import try_out
from jobs.verl.spec import TrainSpec
from jobs.verl.worst import STEPS, worst
from platform_site.templatetags.ui import duration


class DryFireError(NotSubmitted):
    """A job cannot be dry-fired."""


def dry_fire(job: Job, owner: User) -> Job:
    """Queue the dry-fire of a job; one of the same settings that is underway already is taken.

    Raises ``NotSubmitted``.
    """
    return try_out(job, owner, spec_of(job), job.machine)


def spec_of(job: Job) -> DryFireSpec:
    """What a dry-fire of the job is to try. Raises ``DryFireError``."""
    kind, spec = job.job_kind, job.spec_of_kind
    if not kind.can_rehearse:
        raise DryFireError(f"A job of the kind {kind.label} cannot be dry-fired.")
    _check_model(job)
    _check_machine(job.machine)
    made = DryFireSpec(job.pk, spec.kind, spec.to_json())
    if reason := claims.misfit(job.machine, made):
        raise DryFireError(reason)
    return made


def _check_machine(machine: Machine) -> None:
    if machine.is_retired:
        raise DryFireError(f"{machine}, on which the job runs, was removed from Trainyard.")
    if not Machine.objects.for_jobs().filter(pk=machine.pk).exists():
        raise DryFireError(f"{machine} takes no jobs, and a dry-fire runs where the job does.")
    if reason := machine.starts_nothing:
        raise DryFireError(reason)


def _check_model(job: Job) -> None:
    """The model must be whole. Elsewhere it may lie on the machine alone, which is asked when the
    dry-fire starts."""
    if job.awaited:
        before = job.awaited[0].source
        which = f"job {before.pk} ({before.name})" if before else "a job that is gone"
        raise DryFireError(
            f"It trains on what {which} has yet to make, and a dry-fire needs the model itself. "
            "A rehearsal does not."
        )
    path = job.job_kind.reads(job.spec_of_kind).models.get(TRAINED, "")
    if job.machine.is_local and not _has_model(path):
        raise DryFireError(f"There is no model at {path or 'its place'} on {job.machine}.")


def _has_model(path: str) -> bool:
    try:
        folder = model_folder(path)
    except (OSError, ValueError):
        return False
    return folder is not None and (folder / "config.json").is_file()


def about(run: Job) -> str:
    """How long a dry-fire will take by the estimate, in a sentence."""
    spec = worst(run.spec_of_kind.training)
    try:
        took = seconds_of(spec, question_at_most(spec, run.machine))
    except (NotKnown, QuestionError) as error:
        return f"How long it takes is not known: {error}"
    shown = duration(timedelta(seconds=took))
    return f"By the estimate its steps and the validation take {shown}; loading comes on top."


def seconds_of(spec: TrainSpec, question: Question) -> float:
    """Two steps, the answers of a validation, and a checkpoint."""
    time: Time = time_of(question)
    steps = STEPS * sum(took for phase, took in time.phases.items() if phase != answer.SAVE)
    validated = time.phases.get(answer.ROLLOUT, 0.0) / max(1, question.answers)
    return steps + validated + time.phases.get(answer.SAVE, 0.0)


def question_at_most(
    spec: TrainSpec, machine: Machine, longest: int | None = None, limit: int | None = None
) -> Question:
    """The question of a job all of whose rows are as long as they may be, or as ``longest`` (in RL
    a prompt's tokens), on cards of ``limit`` bytes. Raises ``NotKnown`` and ``QuestionError``."""
    if spec.values.get("device") == "cpu":
        raise NotKnown(ON_CPU, "device")
    cards = cards_of(machine)
    if limit:
        cards = replace(cards, gpu=replace(cards.gpu, memory=limit))
    shorter = at_most(spec, longest)
    found = question_on(shorter, cards).lengths
    full = Lengths(found.longest_prompt, found.longest_prompt, found.longest_answer,
                   found.longest_answer, "data")  # fmt: skip
    return question_on(shorter, cards, lengths=full)


def at_most(spec: TrainSpec, longest: int | None) -> TrainSpec:
    """The spec with its limit of rows, in RL of prompts, at ``longest``."""
    name = "max_prompt_length" if "max_prompt_length" in spec.values else "max_length"
    now = spec.values.get(name)
    if longest is None or type(now) is not int:
        return spec
    return replace(spec, values={**spec.values, name: min(now, longest)})
