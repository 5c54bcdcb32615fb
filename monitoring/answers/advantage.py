"""Computes the advantage of each answer again, from the scores in the file, as verl 0.9 does.

verl writes no advantage down. What an estimator needs besides the scores may be missing: then there
is none, and why. verl counts in numbers of 32 bits, so the last digits differ: see ``rounding``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from monitoring.answers.step import Bools, Floats, Ints, Step

EPSILON = 1e-6
WHITENED = 1e-8
UNITS = 2  # in the last place, that a mean of equal numbers of 32 bits may be off
NOTHING = 1e-12  # what rounding leaves of a mean of 0
OTHER_NEEDS = {
    "gae": "PPO's advantage needs the critic's values, which are not in the file.",
    "remax": "ReMax compares with the score of a greedy answer, which is not in the file.",
    "gdpo": "verl's V1 trainer computes no advantage by gdpo.",
}


@dataclass(frozen=True)
class Method:
    """How a run computes its advantages."""

    estimator: str = ""
    by_deviation: bool = True  # GRPO's; false is Dr. GRPO
    gamma: float = 1.0
    has_kl: bool = False  # a penalty for the distance to the reference is part of the reward


@dataclass(frozen=True)
class Advantages:
    """One for each row, NaN where it has no score; None, and why, where they cannot be computed."""

    values: Floats | None
    why: str = ""


@dataclass(frozen=True)
class _Given:
    """What a rule may use of the rows that have a score."""

    score: Floats
    group: Ints
    length: Floats  # tokens that were trained on
    method: Method
    padding: int

    def mean(self) -> Floats:
        """The mean of a row's group; 0 for a group of one, as verl has it."""
        count, total = np.bincount(self.group), np.bincount(self.group, self.score)
        return np.where(count > 1, total / np.maximum(count, 1), 0.0)[self.group]

    def deviation(self) -> Floats:
        count = np.bincount(self.group)
        squares = np.bincount(self.group, (self.score - self.mean()) ** 2)
        found = np.sqrt(squares / np.maximum(count - 1, 1))
        return np.where(count > 1, found, 1.0)[self.group]

    def count(self) -> Ints:
        return np.bincount(self.group)[self.group]


def _grpo(given: _Given) -> Floats:
    centred = given.score - given.mean()
    return centred / (given.deviation() + EPSILON) if given.method.by_deviation else centred


def _rloo(given: _Given) -> Floats:
    count = given.count()
    others = count / np.maximum(count - 1, 1)
    return np.where(count > 1, (given.score - given.mean()) * others, given.score)


def _rloo_vectorized(given: _Given) -> Floats:
    return np.where(given.count() > 1, _rloo(given), 0.0)


def _passk(given: _Given) -> Floats:
    """The best answer of a group gets its lead over the second best, all others nothing."""
    found = np.zeros(len(given.score))
    order = np.lexsort((given.score, given.group))
    ends = np.append(np.flatnonzero(np.diff(given.group[order])), len(order) - 1)
    ends = ends[given.count()[order[ends]] > 1]
    best, second = order[ends], order[ends - 1]
    lead = given.score[best] - given.score[second]
    by = given.deviation()[best] + EPSILON if given.method.by_deviation else 1.0
    found[best] = lead / by
    return found


def _opo(given: _Given) -> Floats:
    """The baseline of a group is its mean score weighted by length; 0 for a group of one."""
    total = np.bincount(given.group, given.length * given.score)
    lengths = np.bincount(given.group, given.length)
    with np.errstate(divide="ignore", invalid="ignore"):
        baseline = np.where(np.bincount(given.group) > 1, total / lengths, 0.0)
    return given.score - baseline[given.group]


def _gpg(given: _Given) -> Floats:
    rows, scoring = len(given.score) + given.padding, int(np.count_nonzero(given.score))
    return rows / max(scoring, 1) * (given.score - given.mean())


def _baseline(given: _Given) -> Floats:
    """REINFORCE++ with a baseline: centred in the group, then whitened over all tokens."""
    centred = given.score - given.mean()
    return _whitened(centred, centred, centred**2, given.length)


def _reinforce(given: _Given) -> Floats:
    """REINFORCE++: the score, discounted from the last token on, whitened over all tokens.

    An answer's is the mean over its tokens.
    """
    once, twice = (_discounts(given.length, given.method.gamma**power) for power in (1, 2))
    return _whitened(given.score * once, given.score * once, given.score**2 * twice, given.length)


def _discounts(length: Floats, gamma: float) -> Floats:
    """The mean of 1, gamma, gamma², … over so many tokens."""
    if gamma == 1:
        return np.ones(len(length))
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = (1 - gamma**length) / ((1 - gamma) * length)
    return np.nan_to_num(found)


def _whitened(values: Floats, mean: Floats, square: Floats, length: Floats) -> Floats:
    """``values`` less the mean of all tokens, by their deviation. ``mean`` and ``square`` are those
    of the tokens of each answer."""
    tokens = length.sum()
    if tokens < 2:
        return np.full(len(values), np.nan)
    middle = (mean * length).sum() / tokens
    variance = max(0.0, (square * length).sum() / tokens - middle**2) * tokens / (tokens - 1)
    found: Floats = (values - middle) / np.sqrt(variance + WHITENED)
    return found


RULES: Mapping[str, Callable[[_Given], Floats]] = {
    "grpo": _grpo,
    "grpo_vectorized": _grpo,
    "grpo_passk": _passk,
    "rloo": _rloo,
    "rloo_vectorized": _rloo_vectorized,
    "opo": _opo,
    "gpg": _gpg,
    "reinforce_plus_plus": _reinforce,
    "reinforce_plus_plus_baseline": _baseline,
}
BY_DEVIATION = {"grpo", "grpo_vectorized", "grpo_passk"}
BY_TOKENS = {"opo", "reinforce_plus_plus", "reinforce_plus_plus_baseline"}


def advantages(step: Step, method: Method) -> Advantages:
    """The advantages of a step's answers, by the scores alone."""
    rule = RULES.get(method.estimator)
    if rule is None:
        unknown = f"Trainyard does not know how {method.estimator or 'this run'} computes it."
        return Advantages(None, OTHER_NEEDS.get(method.estimator, unknown))
    if method.has_kl:
        return Advantages(None, "The KL penalty in the reward is not in the file.")
    if method.estimator in BY_TOKENS and not has_trained(step):
        return Advantages(None, f"{method.estimator} counts tokens, and the file has no counts.")
    found = np.full(len(step), np.nan)
    is_used = _is_used(step, method)
    if is_used.any():
        with np.errstate(over="ignore", invalid="ignore"):
            found[is_used] = rule(_given(step, is_used, method))
    if method.estimator == "grpo":  # the last output's is that of all outputs of the answer
        found = found[step.last]
    return Advantages(np.where(np.isfinite(found), found, np.nan))


def rounding(step: Step, method: Method) -> Floats:
    """How far verl's advantage may be from 0 in a group whose scores are all the same; 0 elsewhere.

    Of such scores the mean of 32 bits may be off by units in the last place. verl divides these by
    the deviation, which is 0, plus ``EPSILON``: of eight scores of 0.7 it makes 0.056. Where no sum
    of the scores is rounded, such as of ones, the mean is right.
    """
    found = np.zeros(len(step))
    is_used = _is_used(step, method)
    if method.estimator not in BY_DEVIATION or not method.by_deviation or not is_used.any():
        return found
    score, group = step.score[is_used], np.unique(step.prompt[is_used], return_inverse=True)[1]
    count = np.bincount(group)
    least, most = (np.full(len(count), edge) for edge in (np.inf, -np.inf))
    np.minimum.at(least, group, score)
    np.maximum.at(most, group, score)
    left = np.zeros(len(count))
    for at in np.flatnonzero((least == most) & (count > 1)):
        left[at] = _rounded_off(np.float32(least[at]), count[at])
    found[is_used] = left[group]
    return found[step.last] if method.estimator == "grpo" else found


def _rounded_off(score: np.float32, count: int) -> float:
    """What rounding may leave of the advantage of so many equal scores."""
    sums = np.arange(1, count + 1) * float(score)
    is_exact = bool((sums.astype(np.float32) == sums).all())
    if is_exact or not np.isfinite(score):
        return 0.0
    return UNITS * float(np.spacing(np.abs(score))) / EPSILON


def _is_used(step: Step, method: Method) -> Bools:
    """The rows whose score counts: for ``grpo`` the last output's is that of the whole answer."""
    counts = step.is_last if method.estimator == "grpo" else np.ones(len(step), np.bool_)
    return counts & ~np.isnan(step.score)


def _given(step: Step, used: Bools, method: Method) -> _Given:
    length = np.maximum(step.trained[used], 0).astype(np.float64)
    group = np.unique(step.prompt[used], return_inverse=True)[1]
    return _Given(step.score[used], group, length, method, step.padding)


def has_trained(step: Step) -> bool:
    """Whether the file says of how many tokens of each answer the model learned."""
    return bool(len(step)) and bool((step.trained >= 0).all())


def mean_of(values: Floats, step: Step) -> float | None:
    """The mean as verl logs it: over the tokens that were trained on, or over the answers where the
    file does not count them. Rows without a value are left out."""
    weights = step.trained if has_trained(step) else np.ones(len(step))
    known = ~np.isnan(values)
    total = float(weights[known].sum())
    if not total:
        return None
    mean = float((values[known] * weights[known]).sum()) / total
    return mean if abs(mean) > NOTHING else 0.0
