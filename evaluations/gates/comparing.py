"""How much better one model is than another, by their evaluations on the same prompts."""

from dataclasses import dataclass

from evaluations.models import Evaluation, sides_of
from evaluations.statistics.paired import Difference, paired
from evaluations.statistics.scores import NotScores, Scores
from evaluations.steps.step import Limit
from jobs.models import Job


class NotComparable(Exception):
    """Two evaluations cannot be compared. The message is a sentence."""


@dataclass(frozen=True)
class Gain:
    """By how much a model is better than another: the interval holds the truth in 95 %."""

    low: float
    high: float
    words: str

    def holds(self, limit: Limit) -> bool:
        """Whether it is as good as a gate asks.

        Better means that this shows. Not worse means that nothing worse shows; with a margin, that
        it is for sure not worse by more than that.
        """
        if limit.better_than:
            return self.low > 0
        return self.low >= -limit.margin if limit.margin else self.high >= 0

    def lacks(self, limit: Limit) -> str:
        """Why a gate does not let it through."""
        if limit.better_than:
            return f"That it is better than {limit.better_than} does not show."
        if limit.margin:
            return f"It may be worse than {limit.not_worse_than} by more than {limit.margin:g}."
        return f"So it is worse than {limit.not_worse_than}."


def gain(own: Job, other: Job, metric: str) -> Gain:
    """Of one evaluation's model over another's. Raises ``NotComparable``."""
    one, two = _found(own), _found(other)
    if not one.evaluator_digest or one.evaluator_digest != two.evaluator_digest:
        raise NotComparable(
            f"Jobs {own.pk} and {other.pk} evaluated in different ways: their figures are not "
            "comparable."
        )
    if not one.set_digest or one.set_digest != two.set_digest:
        raise NotComparable(f"Jobs {own.pk} and {other.pk} evaluated different prompts.")
    found = paired(_rows(two), _rows(one), one.way, sides_of(one, two))
    named = {each.name: each for each in found.differences}
    if metric not in named:
        known = ", ".join(named) or "none"
        raise NotComparable(f"{metric} is not told prompt by prompt. Those that are: {known}.")
    return _gain(named[metric])


def _gain(found: Difference) -> Gain:
    if found.interval is None:
        raise NotComparable("Fewer than two prompts have scores in both evaluations.")
    if found.is_higher is None:
        raise NotComparable(f"Whether more of {found.name} is better, nobody says.")
    low, high = found.interval.low, found.interval.high
    low, high = (low, high) if found.is_higher else (-high, -low)
    return Gain(low, high, f"{found.name} over {found.prompts} prompts: {found.sentence}")


def _found(job: Job) -> Evaluation:
    row = Evaluation.objects.filter(job=job).first()
    if row is None or row.fault:
        why = f": {row.fault}" if row else "."
        raise NotComparable(f"Nothing is known of the evaluation of job {job.pk}{why}")
    return row


def _rows(row: Evaluation) -> Scores:
    try:
        rows = row.rows
    except NotScores as error:
        raise NotComparable(f"Job {row.job_id}: {error}") from error
    if rows is None:
        raise NotComparable(f"Job {row.job_id} told nothing of single prompts.")
    return rows
