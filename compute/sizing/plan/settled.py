"""Settings that decide nothing stay as the job has them."""

from collections.abc import Iterator

from compute.sizing.plan.reasons import can_have, verdict
from compute.sizing.plan.search import Choice, judged
from compute.sizing.plan.settings import settings_of
from compute.sizing.question import Question


def settled(choice: Choice, start: Question) -> Choice:
    """The choice with each value of ``start`` put back that makes no difference that shows, in
    time or peak, against the choice: also all of them together."""
    kept = choice
    # One that is put back may make room for another.
    while back := next(_put_back(kept, choice, start), None):
        kept = back
    return kept


def _put_back(kept: Choice, choice: Choice, start: Question) -> Iterator[Choice]:
    for setting in settings_of(kept.question):
        now = setting.read(start)
        if setting.read(kept.question) != now and can_have(setting, kept.question, now):
            there = judged(setting.put(kept.question, now), choice.terms)
            if verdict(choice, there) in ("no difference", "faster"):
                yield there
