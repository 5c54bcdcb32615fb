"""Where the time of verl's SFT trainer goes. It logs no times of its own.

A step is its update. The data of a step are waited for before it; a validation and a save come
after it. They do not lie within each other, so they add up.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from verl.utils import tensordict_utils

STEP, DATA, VALIDATION = "timing_s/step", "timing_s/data", "timing_s/validate"


class Times:
    """Of one trainer. `trackings` are its loggers: one on the rank that logs, none on others."""

    def __init__(self, trackings: Sequence[Any]) -> None:
        self._trackings = trackings
        self._done_at = time.perf_counter()  # what was done last
        self._validation = 0.0

    def train(self, step: int, work: Callable[[], Any]) -> Any:
        """Do the update of a step, and put its times among its metrics."""
        self.log_validation(step - 1)
        data, began = time.perf_counter() - self._done_at, time.perf_counter()
        done = work()
        self.over()
        if self._trackings:  # on the rank that logs, and there alone, the output holds metrics
            metrics = tensordict_utils.get(done, "metrics")
            metrics[DATA], metrics[STEP] = data, self._done_at - began
        return done

    def validate(self, work: Callable[[], Any]) -> Any:
        """Do one batch of a validation. The loading of its data counts, too."""
        before = self._done_at
        done = work()
        self.over()
        self._validation += self._done_at - before
        return done

    def over(self) -> None:
        """Something is done: from now on the next thing is waited for."""
        self._done_at = time.perf_counter()

    def log_validation(self, step: int) -> None:
        """Log what the validation of a step took, once it is over."""
        if self._validation:
            for tracking in self._trackings:
                tracking.log(data={VALIDATION: self._validation}, step=step)
            self._validation = 0.0
