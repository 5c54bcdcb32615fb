"""How much an answer repeats itself: a share that is measured over its words."""

import numpy as np

from monitoring.answers.rows import text_of
from monitoring.answers.step import Floats, Ints, Step

RUN = 4  # words


def repetition(text: str) -> float:
    """The share of an answer's runs of four words that stand in it before; NaN below five words.

    0: no run comes twice. 0.9: nine of ten runs were there already. Words are what blanks separate.
    """
    words = text.split()
    runs = len(words) - RUN + 1
    if runs < 2:
        return np.nan
    different = len(set(zip(words, words[1:], words[2:], words[3:], strict=False)))
    return 1 - different / runs


def repetitions(step: Step, rows: Ints) -> Floats:
    """Of the answers in these rows. It reads their texts. Raises ``OSError``."""
    found = (repetition(text_of(row.get("output"))) for row in step.rows(rows))
    return np.fromiter(found, np.float64, len(rows))
