"""What finished runs teach of a card and a family of models, by the present formula."""

from functools import lru_cache

from compute.sizing.learning import Correction, Lesson, Measured, correction_of, lesson_of
from compute.sizing.question import Question
from compute.sizing.written import read_question
from jobs.models import Job, Outcome

NEWEST = 50  # runs of a card and family that teach
NOTHING = Lesson(None, {})
REMEMBERED = 2_000


def taught_by(question: Question) -> tuple[str, str]:
    """The card and the family of models whose runs teach of a question."""
    return question.gpu.slug, question.actor.model.model_type


def correction_for(question: Question, without: Job | None = None) -> Correction | None:
    """What the newest runs on this card with such a model teach, but for one job's own.

    None where there are none, or where they teach nothing.
    """
    card, family = taught_by(question)
    runs = Outcome.objects.filter(gpu=card, family=family)
    if without:
        runs = runs.exclude(job=without)
    return correction_of([_lesson(*found) for found in runs.values_list("pk", "at")[:NEWEST]])


def cards_taught(family: str) -> frozenset[str]:
    """The cards on which a model of the family was trained, by their slug in the catalogue."""
    return frozenset(Outcome.objects.filter(family=family).values_list("gpu", flat=True))


@lru_cache(maxsize=REMEMBERED)
def _lesson(pk: int, at: object) -> Lesson:
    """What one run teaches. ``at`` changes with the row; the formula is the same until a restart.

    What an earlier version of Trainyard wrote may not be readable any more: it teaches nothing.
    """
    run = Outcome.objects.get(pk=pk)
    try:
        question = read_question(run.question)
        measured = Measured(run.measured_peak, run.measured_phases, run.measured_seconds)
        return lesson_of(question, measured)
    except (ValueError, ArithmeticError):
        return NOTHING
