"""Searching the log of a job: in a child, a stretch at a time, without the secrets of its owner."""

import re
from collections.abc import Iterator, Sequence

from jobs.models import Job
from jobs.trackers import accounts
from monitoring.logs.question import Question
from monitoring.logs.search import Hit, Stretch, search
from monitoring.mirror import log_file
from platform_site.bounded.calls import call
from platform_site.bounded.limits import MIB, Limits

LIMITS = Limits(seconds=30, memory=512 * MIB)
AT_ONCE = 2.0  # seconds of one stretch
ERROR = Question(level="error")
ACTOR = re.compile(r"^\(([A-Za-z_][\w.]*)[^()\n]* pid=\d+", re.MULTILINE)
MOST_ACTORS = 50


def stretch(
    job: Job,
    question: Question,
    *,
    attempt: int | None = None,
    start: int = 0,
    line: int = 1,
    most: int = 100,
    seconds: float = AT_ONCE,
) -> Stretch:
    """What is found in an attempt's log, by default the newest's, from a byte on, at which line
    number ``line`` begins.

    Raises ``OSError``, and ``TooMuch`` when no turn comes or it takes too much.
    """
    secrets = [value.encode() for value in accounts.secret_values(job)]
    return call(
        LIMITS, (), search, log_file(job, attempt), question, secrets,
        start=start, line=line, most=most, seconds=seconds, to_end=not grows(job, attempt),
    )  # fmt: skip


def grows(job: Job, attempt: int | None) -> bool:
    """Whether lines may yet be written to an attempt's log."""
    return job.may_change and attempt in (None, job.attempt)


def stretches(
    job: Job, question: Question, attempts: Sequence[int], most: int = 1000
) -> Iterator[tuple[int, Stretch]]:
    """The whole logs of these attempts, one stretch after the other, each with its attempt. One
    that has no log is left out, unless it is the only one."""
    for attempt in attempts:
        found = Stretch(0, 1, 0, False)
        while not found.is_whole:
            try:
                found = stretch(
                    job, question, attempt=attempt, start=found.end, line=found.line, most=most
                )
            except FileNotFoundError:
                if len(attempts) == 1:
                    raise
                break
            yield attempt, found


def first_error(job: Job, attempts: Sequence[int]) -> tuple[int, Hit] | None:
    """The first line of the logs that tells of an error, with its attempt. Raises as ``stretch``
    does."""
    parts = stretches(job, ERROR, attempts, most=1)
    return next(((attempt, hit) for attempt, part in parts for hit in part.hits), None)


def actors_in(text: str) -> list[str]:
    """The names of Ray's actors that wrote lines of a part of a log."""
    return sorted(set(ACTOR.findall(text)))[:MOST_ACTORS]
