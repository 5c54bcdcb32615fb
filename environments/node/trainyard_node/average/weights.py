"""The share of each checkpoint in an average. Shares add up to 1."""

from collections.abc import Sequence

from trainyard_node.export.refused import Refused


def uniform(count: int) -> list[float]:
    """The plain mean (SWA, Izmailov et al. 2018)."""
    return [1 / count] * count


def ema(count: int, decay: float) -> list[float]:
    """`average = decay * average + (1 - decay) * checkpoint`, in the order of the steps; the first
    checkpoint is the first average."""
    shares = [(1 - decay) * decay ** (count - 1 - index) for index in range(count)]
    return [decay ** (count - 1), *shares[1:]]


def weighted(values: Sequence[float], higher_is_better: bool) -> list[float]:
    """By a metric. Where higher is better, `value / sum of values`; where lower is better, the same
    of `1 / value`. Raises Refused for values that are not above 0: such a share means nothing."""
    if any(value <= 0 for value in values):
        raise Refused("An average weighted by a metric needs values above 0.")
    parts = list(values) if higher_is_better else [1 / value for value in values]
    return [part / sum(parts) for part in parts]
