"""Shared by the commands that put jobs away: which jobs, who asks, and what became of each."""

from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any, Protocol

from django.core.management.base import CommandError

from jobs.management.base import as_json, find_job, find_user
from jobs.models import Job
from platform_site.commands import JsonCommand


class Verb(Protocol):
    def __call__(self, job: Job, *, who: str) -> bool: ...


def add_jobs(parser: ArgumentParser) -> None:
    parser.add_argument("id", type=int, nargs="+")
    parser.add_argument("--user", default="", help="who asks (default: first administrator)")


def of_each(
    command: JsonCommand,
    options: dict[str, Any],
    verb: Verb,
    why_not: Callable[[Job], str],
    told: str,
) -> None:
    """Do it with each job. Raises ``CommandError`` with the reasons where it was not done."""
    who = find_user(options["user"]).get_username()
    jobs = list(map(find_job, options["id"]))
    left = [job for job in jobs if not verb(job, who=who)]
    done = [job for job in jobs if job not in left]
    if done:
        text = "\n".join(f"Job {job.pk} {told}." for job in done)
        command.show(options, list(map(as_json, done)), text)
    if left:
        raise CommandError(" ".join(map(why_not, left)))
