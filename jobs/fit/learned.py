"""What finished runs teach of a card and a family of models, by the present formula."""

from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache

from django.db.models import Window
from django.db.models.functions import RowNumber

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


class Corrections:
    """What the newest runs teach, of each card and family: they are found by one query."""

    def __init__(self, without: Job | None = None) -> None:
        """``without`` is a job whose own run teaches nothing."""
        self._without = without
        self._made: dict[tuple[str, str], Correction | None] = {}

    def of(self, card: str, family: str) -> Correction | None:
        """As ``correction_for``."""
        key = (card, family)
        if key not in self._made:
            self._made[key] = correction_of([_lesson(*run) for run in self._runs.get(key, ())])
        return self._made[key]

    @cached_property
    def _runs(self) -> Mapping[tuple[str, str], Sequence[tuple[int, object]]]:
        runs = Outcome.objects.all()
        if self._without:
            runs = runs.exclude(job=self._without)
        by_age = Window(RowNumber(), partition_by=["gpu", "family"], order_by=["-at", "-pk"])
        newest = runs.annotate(age=by_age).filter(age__lte=NEWEST)
        found: dict[tuple[str, str], list[tuple[int, object]]] = {}
        for card, family, pk, at in newest.values_list("gpu", "family", "pk", "at"):
            found.setdefault((card, family), []).append((pk, at))
        return found


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
