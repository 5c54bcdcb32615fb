"""How far something is that a job waits for before it starts, told on its page."""

import time

from jobs.models import Job
from jobs.starting import still_starting
from platform_site.counts import size_text

TELL_EVERY = 1.0  # seconds between two words on how far it is


class Telling:
    """Keeps how far it is where the job's page shows it; a stopped job is worked for no further."""

    def __init__(self, job: Job, name: str, does: str = "Sending") -> None:
        self.job, self.name, self.does, self.next = job, name, does, 0.0

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() < self.next or not total:
            return
        self.next = time.monotonic() + TELL_EVERY
        words = f"{self.does} {self.name}: {100 * done // total} % of {size_text(total)}."
        still_starting(self.job, reason=words)
