"""Choose where two things count: as much reward as can be had for as little KL."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from surgery.choice.candidate import Candidate, Choice, Ranked, names_in
from surgery.choice.criteria import ChoiceError, unknown_words
from surgery.choice.metrics import kl_of, reward_of

Point = tuple[Candidate, float, float]  # with its reward and its KL


@dataclass(frozen=True)
class Front:
    """The checkpoints that no other one beats in both, by KL; ``choice`` is one of them."""

    reward: str
    kl: str
    members: Sequence[Candidate]
    choice: Choice


def by_pareto(
    candidates: Sequence[Candidate], reward: str = "", kl: str = "", higher: bool = True
) -> Front:
    """The front of reward against KL, and the one of it that lies nearest to the ideal.

    The ideal has the highest reward and the lowest KL of all that are compared; both are measured
    from 0 to 1 between their worst and best. In place of the reward there may be a metric of which
    less is better: it is not ``higher`` then. Raises ``ChoiceError`` where a metric is missing.
    """
    names = names_in(candidates)
    reward, kl = reward or reward_of(names) or "", kl or kl_of(names) or ""
    if not reward or not kl:
        lacks = "reward" if not reward else "KL from the model that training began with"
        raise ChoiceError(f"No checkpoint has a metric of {lacks} at its step. Name one.")
    sign = 1 if higher else -1
    points, unknown = _points(candidates, reward, kl, sign)
    if not points:
        raise ChoiceError(f"No checkpoint has both {reward} and {kl} at its step.")
    front = sorted(
        (each for each in points if not any(_beats(other, each) for other in points)),
        key=lambda each: (each[2], each[0].step, each[0].key),
    )
    distances = _distances(points)
    ordered = sorted(front, key=lambda each: (distances[each[0].key], each[0].step, each[0].key))
    nearest = distances[ordered[0][0].key]
    ranked = [
        Ranked(each[0], distances[each[0].key], distances[each[0].key] - nearest)
        for each in ordered[1:]
    ]
    reason = _reason(ordered[0], reward, kl, sign, (len(front), len(points)))
    reason += unknown_words(unknown)
    on_front = {each[0].key for each in front}
    beaten = sorted(
        (each[0] for each in points if each[0].key not in on_front),
        key=lambda each: (distances[each.key], each.step, each.key),
    )
    choice = Choice(ordered[0][0], nearest, reason, ranked, unknown, beaten)
    return Front(reward, kl, [each[0] for each in front], choice)


def _points(
    candidates: Sequence[Candidate], reward: str, kl: str, sign: int
) -> tuple[list[Point], list[tuple[Candidate, str]]]:
    points, unknown = list[Point](), list[tuple[Candidate, str]]()
    for each in candidates:
        got, drift = each.known(reward), each.known(kl)
        if got is None or drift is None:
            lacks = reward if got is None else kl
            unknown.append((each, f"{lacks} is not known at step {each.step}."))
        else:
            points.append((each, sign * got, drift))
    return points, unknown


def _beats(one: Point, other: Point) -> bool:
    """Whether one is as good in both, and better in one."""
    return one[1] >= other[1] and one[2] <= other[2] and one[1:] != other[1:]


def _distances(points: Sequence[Point]) -> dict[int, float]:
    rewards, drifts = [each[1] for each in points], [each[2] for each in points]
    over, along = max(rewards) - min(rewards) or 1.0, max(drifts) - min(drifts) or 1.0
    return {
        each.key: math.hypot((max(rewards) - got) / over, (drift - min(drifts)) / along)
        for each, got, drift in points
    }


def _reason(chosen: Point, reward: str, kl: str, sign: int, counts: tuple[int, int]) -> str:
    (front, points), side = counts, "more" if sign > 0 else "less"
    return (
        f"Of {points}, {front} are on the front: no other has both {side} {reward} and less {kl}. "
        f"The {chosen[0].name} lies nearest to the best of both, with {sign * chosen[1]:.6g} and "
        f"{chosen[2]:.6g}; of equals the earliest step is chosen."
    )
