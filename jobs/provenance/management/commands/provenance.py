from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from jobs.management.base import find_job
from jobs.provenance import shown
from jobs.provenance.reading import Attempt, attempts_of, why_unknown
from jobs.provenance.relatives import Relatives, children_of, parents_of
from jobs.provenance.shown import Asked
from jobs.verl import configtree
from platform_site.commands import FieldError, JsonCommand


class Command(JsonCommand):
    help = "Show what a job was made with: configuration, packages, hardware, where it came from."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=int)
        parser.add_argument("--attempt", type=int, help="of which attempt (default: the newest)")
        parser.add_argument("--search", default="", help="words in a key or value")
        parser.add_argument("--all", action="store_true", help="also what is verl's default")

    def handle(self, *args: Any, **options: Any) -> None:
        job = find_job(options["id"])
        attempt = shown.chosen(attempts_of(job), job, options["attempt"])
        if attempt is None:
            raise FieldError("attempt", f"Job {job.pk} has no attempt {options['attempt']}.")
        only = not options["all"] and not options["search"]
        asked = Asked(attempt.number, options["search"], only)
        lines = in_words(attempt, asked)
        if options["json"]:
            # A command has the rights of whoever may read the database: nothing is hidden.
            self.show(options, shown.in_json(job, None), "")
        else:
            self.show(options, None, "\n".join(lines))


def in_words(attempt: Attempt, asked: Asked) -> Iterator[str]:
    yield f"Attempt {attempt.number} of job {attempt.job.pk}: {attempt.job.name}"
    if why := why_unknown(attempt):
        yield why
    for title, rows in shown.sections_of(attempt):
        yield f"{title}:"
        for fact in rows:
            more = " ".join(filter(None, (fact.digest, f"({fact.note})" if fact.note else "")))
            yield f"  {fact.name:<20} {fact.value} {more}".rstrip()
    if attempt.packages:
        yield f"Packages: {len(attempt.packages)}; --json has them."
    yield from _relatives("It came from", parents_of(attempt.job, None))
    yield from _relatives("What came from it", children_of(attempt.job, None))
    found = configtree.found(attempt.leaves, asked.words, only_differing=asked.only)
    if attempt.leaves:
        what = "not verl's default" if asked.only else "found"
        yield f"Configuration ({len(found)} of {len(attempt.leaves)} values, {what}):"
    for leaf in found:
        default = f"  (default {leaf.default})" if leaf.state == configtree.DIFFERS else ""
        yield f"  {leaf.key} = {leaf.short}{default}"


def _relatives(title: str, relatives: Relatives) -> Iterator[str]:
    if relatives.shown:
        yield f"{title}:"
    for one in relatives.shown:
        yield f"  job {one.job.pk}: {one.job.name} ({one.role})"
