"""Pass@k: how likely one of k answers to a prompt is right."""

import numpy as np
import numpy.typing as npt

from evaluations.statistics.resampling import Floats


def pass_at(k: int, answers: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> Floats:
    """The unbiased estimate for each prompt, of which so many answers are known and right.

    It is the share of the choices of k among the answers that hold a right one (Chen et al., 2021);
    NaN where a prompt has fewer than k answers.
    """
    if k < 1:
        raise ValueError("Of no answers, none is right.")
    wrong = answers - right
    missed = np.ones(len(answers))
    for drawn in range(k):
        left = np.maximum(answers - drawn, 1)
        missed *= np.maximum(wrong - drawn, 0) / left
    return np.where(answers >= k, 1 - missed, np.nan)
