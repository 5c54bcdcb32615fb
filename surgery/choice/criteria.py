"""Choose among checkpoints by a criterion.

Of two that are worth the same, the earlier step is chosen: it had less training, so it is nearer to
the model that training began with, and lost less of it. An unknown value never wins.
"""

from collections.abc import Callable, Sequence

from jobs.verl.better import is_higher_better
from surgery.choice.candidate import Candidate, Choice, Ranked, names_in
from surgery.choice.formula import Formula, UnknownValue
from surgery.choice.metrics import validation_of

Value = Callable[[Candidate], float]


class ChoiceError(Exception):
    """Nothing can be chosen like this. The message is a sentence for the user."""


def by_metric(candidates: Sequence[Candidate], metric: str, higher: bool | None = None) -> Choice:
    """The best value of a metric. ``higher`` says which side is better; the name, where it is None.

    Raises ``ChoiceError`` where neither says so, or no checkpoint has the metric.
    """
    if higher is None and (higher := is_higher_better(metric)) is None:
        raise ChoiceError(
            f"Whether more of {metric} is better, its name does not say. Say higher or lower."
        )
    if metric not in names_in(candidates):
        raise ChoiceError(f"No checkpoint has a value of {metric} at its step.")

    def value(candidate: Candidate) -> float:
        if (found := candidate.known(metric)) is None:
            raise UnknownValue(f"{metric} is not known at step {candidate.step}.")
        return found

    return _best(candidates, value, higher, metric)


def by_validation(candidates: Sequence[Candidate]) -> Choice:
    """The best validation. Raises ``ChoiceError`` where nothing was validated at these steps."""
    metric = validation_of(names_in(candidates))
    if metric is None:
        raise ChoiceError(
            "No checkpoint was validated at its step. Choose by another metric, or let the next "
            "run validate as often as it saves."
        )
    return by_metric(candidates, metric)


def by_formula(candidates: Sequence[Candidate], formula: Formula, higher: bool = True) -> Choice:
    """The best value of a formula, of which more is better unless it is said otherwise."""
    return _best(candidates, lambda each: formula.value(each.metrics), higher, formula.text)


def _best(candidates: Sequence[Candidate], value: Value, higher: bool, called: str) -> Choice:
    known, unknown = _valued(candidates, value)
    if not known:
        return Choice(None, None, f"Of no checkpoint is {called} known.", (), unknown)
    sign = -1 if higher else 1
    ordered = sorted(known, key=lambda pair: (sign * pair[1], pair[0].step, pair[0].key))
    (chosen, best), others = ordered[0], ordered[1:]
    ranked = [Ranked(each, found, abs(found - best)) for each, found in others]
    reason = _reason(chosen, best, "highest" if higher else "lowest", called, ranked, unknown)
    return Choice(chosen, best, reason, ranked, unknown)


def _valued(
    candidates: Sequence[Candidate], value: Value
) -> tuple[list[tuple[Candidate, float]], list[tuple[Candidate, str]]]:
    known, unknown = list[tuple[Candidate, float]](), list[tuple[Candidate, str]]()
    for each in candidates:
        try:
            known.append((each, value(each)))
        except UnknownValue as error:
            unknown.append((each, str(error)))
    return known, unknown


def _reason(
    chosen: Candidate, best: float, side: str, called: str,
    ranked: Sequence[Ranked], unknown: Sequence[tuple[Candidate, str]],
) -> str:  # fmt: skip
    told = f"The {chosen.name} has the {side} {called}, {best:.6g}, of {len(ranked) + 1}."
    if equal := [each for each in ranked if each.distance == 0]:
        names = ", ".join(each.candidate.name for each in equal)
        told += f" It is worth the same as {names}; of equals the earliest step is chosen."
    elif ranked:
        told += f" The next, the {ranked[0].candidate.name}, is {ranked[0].distance:.6g} behind."
    return told + unknown_words(unknown)


def unknown_words(unknown: Sequence[tuple[Candidate, str]]) -> str:
    """A sentence on those that were not compared, after a space; "" where there are none."""
    if not unknown:
        return ""
    return f" Not compared, since a value is unknown: {len(unknown)}."
