"""Searching the log of a job: in a child, a stretch at a time, without the secrets of its owner."""

import re
from collections.abc import Iterator

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
    start: int = 0,
    line: int = 1,
    most: int = 100,
    seconds: float = AT_ONCE,
) -> Stretch:
    """What is found from a byte on, at which line number ``line`` begins.

    Raises ``OSError``, and ``TooMuch`` when no turn comes or it takes too much.
    """
    secrets = [value.encode() for value in accounts.secret_values(job)]
    return call(
        LIMITS, (), search, log_file(job), question, secrets,
        start=start, line=line, most=most, seconds=seconds, to_end=not job.may_change,
    )  # fmt: skip


def stretches(job: Job, question: Question, most: int = 1000) -> Iterator[Stretch]:
    """The whole log, one stretch after the other."""
    found = Stretch(0, 1, 0, False)
    while not found.is_whole:
        found = stretch(job, question, start=found.end, line=found.line, most=most)
        yield found


def first_error(job: Job) -> Hit | None:
    """The first line of the log that tells of an error. Raises as ``stretch`` does."""
    return next((hit for part in stretches(job, ERROR, most=1) for hit in part.hits), None)


def actors_in(text: str) -> list[str]:
    """The names of Ray's actors that wrote lines of a part of a log."""
    return sorted(set(ACTOR.findall(text)))[:MOST_ACTORS]
