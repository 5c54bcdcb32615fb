"""Keeps what a run measured beside what was estimated, when it ends."""

from compute.machines.devices import devices_of
from compute.models import Machine
from compute.sizing.answer import Estimate
from compute.sizing.estimate import estimate
from compute.sizing.learning import Measured, whole_step
from compute.sizing.memory.allocated import allocated, peak_of
from compute.sizing.question import Question
from compute.sizing.written import as_json
from jobs import measured
from jobs.fit.lookups import Lookups
from jobs.fit.services import NotKnown, QuestionError, cards_of, question_on
from jobs.models import Job, Outcome
from jobs.verl.algorithms import labels
from jobs.verl.phases import METRICS, PEAKS, measured_of, with_lengths

LEAST_STEPS = 2


def keep(job: Job) -> Outcome | None:
    """Keep what a run needed, over what was kept of an earlier attempt.

    None, and nothing is written, for a run on the CPU, one of fewer than two steps, one that
    measured nothing, and one whose estimate is not known: its card, its model or its settings.
    """
    if not _measures(job):
        return None
    spec = job.spec_of_kind
    try:
        cards = cards_of(job.machine)
        lookups = Lookups(without=job)
        asked = question_on(spec, cards, lookups=lookups)
        usual = measured.steady(job.pk, METRICS)
        was = question_on(spec, cards, lengths=with_lengths(asked, usual))
    except (NotKnown, QuestionError):
        return None
    found = measured_of(asked, usual, _highest(job), measured.pace(job.pk))
    if found.peak is None and found.seconds is None and not found.phases:
        return None
    told = estimate(asked, correction=lookups.correction(asked))
    return _write(job, asked, was, told, found)


def _measures(job: Job) -> bool:
    ran_on_gpus = job.gpus > 0 and job.kind in labels()
    return ran_on_gpus and job.step >= LEAST_STEPS and _is_of_one_card(job.machine)


def _is_of_one_card(machine: Machine) -> bool:
    """Of several kinds of cards nobody knows which of them the job had."""
    devices = devices_of(machine)
    return devices is not None and len({kind.name for kind in devices.kinds if kind.name}) == 1


def _highest(job: Job) -> dict[str, float]:
    found = {name: measured.figures_of([job.pk], name).get(job.pk) for name in PEAKS}
    return {name: one.high for name, one in found.items() if one and one.high is not None}


def _write(job: Job, asked: Question, was: Question, told: Estimate, found: Measured) -> Outcome:
    """``asked`` is the question before the run, ``was`` with the lengths that it measured."""
    own = allocated(asked, told.memory)
    times = dict(told.time.phases) if told.time else {}
    outcome, _ = Outcome.objects.update_or_create(
        job=job,
        defaults={
            "gpu": asked.gpu.slug,
            "gpus": asked.gpus,
            "family": asked.actor.model.model_type,
            "algorithm": job.kind,
            "learned_from": told.runs,
            "question": as_json(was),
            "estimated_peak": peak_of(own),
            "measured_peak": None if found.peak is None else round(found.peak),
            "estimated_peaks": dict(own),
            "estimated_seconds": whole_step(asked, times),
            "measured_seconds": found.seconds,
            "estimated_phases": times,
            "measured_phases": dict(found.phases or {}),
        },
    )
    return outcome
