"""What still ends before a machine's rental does, of the jobs that wait for it and of its drafts.

All of it is estimated, for each job as if it started now and alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from compute.machines.users import Planned, Span, Viewer, users
from compute.models import Machine

WORDS = {
    True: "should end before it",
    False: "should not end before it",
    None: "may end before it, or not",
}


@dataclass(frozen=True)
class Ending:
    """A job beside the seconds that are left."""

    job: Planned
    left: float

    @property
    def whole(self) -> Span | None:
        """Seconds of all its steps."""
        return self.job.whole

    @property
    def ends_before(self) -> bool | None:
        """None where that is not known, or where the band of the estimate holds the end."""
        if self.whole is None or self.whole.low <= self.left < self.whole.high:
            return None
        return self.whole.high <= self.left

    @property
    def words(self) -> str:
        return WORDS[self.ends_before] if self.whole else "not known"

    @property
    def steps(self) -> tuple[int, int, int] | None:
        """How many of its steps fit: at least, about, at most."""
        step = self.job.step
        if step is None:
            return None
        most = self.job.steps
        found = [int(self.left / seconds) for seconds in (step.high, step.likely, step.low)]
        least, about, greatest = (count if most is None else min(count, most) for count in found)
        return least, about, greatest

    def as_json(self) -> dict[str, Any]:
        """``ends_before_rental`` is null where it is not sure; ``why`` says what is not known."""
        whole, steps = self.whole, self.steps
        return {
            "job": self.job.id,
            "name": self.job.name,
            "stands": self.job.stands,
            "steps": self.job.steps,
            "seconds": whole and whole.likely,
            "seconds_band": [whole.low, whole.high] if whole else None,
            "ends_before_rental": self.ends_before,
            "steps_in_time_left": steps[1] if steps else None,
            "steps_band": [steps[0], steps[2]] if steps else None,
            "why": self.job.why,
        }


def seconds_left(machine: Machine) -> float | None:
    """Until the rental ends; None where it has no end, or has ended."""
    if machine.rental_ends_at is None or machine.rental_is_over:
        return None
    return (machine.rental_ends_at - timezone.now()).total_seconds()


def endings_of(machine: Machine, viewer: Viewer | None) -> Sequence[Ending]:
    """Of each job that the viewer may see; nothing for a machine without an end."""
    left = seconds_left(machine)
    if left is None:
        return ()
    return [Ending(job, left) for job in users().planned(machine, viewer)]
