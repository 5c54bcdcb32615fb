"""What speaks against a checkpoint, by rules that are stated, with the numbers they are founded on.

A flag is raised by values that are known; where one is missing, nothing is said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from jobs.verl.better import is_higher_better
from surgery.choice.candidate import Candidate, names_in
from surgery.choice.metrics import kl_of, validation_of

OVERFITTING, KL_DRIFT = "overfitting", "KL drift"
WORSE_BY = 0.02  # of the best validation before
TIMES_MEDIAN = 3.0
LEAST_BEFORE = 2  # so many checkpoints before it make a median
LEAST_KL = 0.01  # below this, drift is noise
RULES: Mapping[str, str] = {
    OVERFITTING: (
        "Validation is more than 2 % worse than at the best checkpoint before, while training is "
        "better than it was there."
    ),
    KL_DRIFT: (
        "The KL from the model that training began with is above 0.01 and more than 3 times the "
        "median of the checkpoints before, of which there are two at least."
    ),
}
# What training is judged by, beside validation: the first that the run has.
TRAINING = (
    ("val/loss", ("train/loss",)),
    ("val/rewards/accuracy", ("train/rewards/accuracy", "train/loss")),
)
RL_TRAINING = ("critic/score/mean", "critic/rewards/mean")


@dataclass(frozen=True)
class Flag:
    name: str
    numbers: str  # a sentence

    @property
    def rule(self) -> str:
        return RULES[self.name]


def flags_of(run: Sequence[Candidate]) -> dict[int, list[Flag]]:
    """The flags of each checkpoint of one run, by key. Those without any are left out."""
    ordered = sorted(run, key=lambda each: each.step)
    found = dict[int, list[Flag]]()
    for raised in (_overfitting(ordered), _drift(ordered)):
        for key, flag in raised.items():
            found.setdefault(key, []).append(flag)
    return found


def _overfitting(ordered: Sequence[Candidate]) -> dict[int, Flag]:
    names = names_in(ordered)
    validation = validation_of(names)
    training = _training(validation, names) if validation else None
    if validation is None or training is None:
        return {}
    raised, best = dict[int, Flag](), None
    for each in ordered:
        value = each.known(validation)
        if value is None:
            continue
        before = best.known(validation) if best else None
        if best is None or before is None or _gain(validation, before, value) > 0:
            best = each
        elif _is_overfit(each, best, validation, training):
            raised[each.key] = Flag(OVERFITTING, _told(each, best, validation, training))
    return raised


def _training(validation: str, names: Sequence[str]) -> str | None:
    wanted = dict(TRAINING).get(validation, RL_TRAINING)
    return next((name for name in wanted if name in names), None)


def _is_overfit(each: Candidate, best: Candidate, validation: str, training: str) -> bool:
    now, then = each.known(training), best.known(training)
    value, before = each.metrics[validation], best.metrics[validation]
    if now is None or then is None:
        return False
    is_worse = -_gain(validation, before, value) > WORSE_BY * abs(before)
    return is_worse and _gain(training, then, now) > 0


def _gain(metric: str, before: float, after: float) -> float:
    """By how much a metric got better; negative where it got worse."""
    return after - before if is_higher_better(metric) else before - after


def _told(each: Candidate, best: Candidate, validation: str, training: str) -> str:
    return (
        f"{validation} is {each.metrics[validation]:.6g}, and was {best.metrics[validation]:.6g} "
        f"at step {best.step}; {training} went from {best.metrics[training]:.6g} to "
        f"{each.metrics[training]:.6g}."
    )


def _drift(ordered: Sequence[Candidate]) -> dict[int, Flag]:
    metric = kl_of(names_in(ordered))
    if metric is None:
        return {}
    raised, before = dict[int, Flag](), list[float]()
    for each in ordered:
        value = each.known(metric)
        if value is None:
            continue
        if len(before) >= LEAST_BEFORE and value > max(LEAST_KL, TIMES_MEDIAN * median(before)):
            told = (
                f"{metric} is {value:.6g}; the median of the {len(before)} checkpoints before is "
                f"{median(before):.6g}."
            )
            raised[each.key] = Flag(KL_DRIFT, told)
        before.append(value)
    return raised
