from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from jobs.archive import deleting
from jobs.archive.belongings import (
    MOST_FILES,
    Budget,
    belongings_of,
    others_of,
    reader_words,
    readings_of,
)
from jobs.archive.management.base import add_jobs
from jobs.archive.refusals import warnings, why_not
from jobs.artifacts.deleting import DeleteError, NeedsSecondWord
from jobs.management.base import find_job, find_user
from jobs.models import Deletion, Job
from platform_site.commands import JsonCommand
from platform_site.counts import counted, size_text


class Command(JsonCommand):
    help = "Delete jobs with their files, and wait for it. With --look only say what would go."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        add_jobs(parser)
        parser.add_argument(
            "--look", action="store_true", help="say what would go, and who reads it"
        )
        parser.add_argument("--sure", action="store_true", help="though something is lost with it")
        parser.add_argument(
            "--leave-files", action="store_true", help="on a machine that does not answer"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        jobs = list(map(find_job, options["id"]))
        if options["look"]:
            told = list(map(seen, jobs))
            self.show(options, told, "\n\n".join(map(in_words, told)))
            return
        who = find_user(options["user"]).get_username()
        data = [gone(deleted(job, who, options)) for job in jobs]
        self.show(options, data, "\n".join(each["said"] for each in data))


def deleted(job: Job, who: str, options: dict[str, Any]) -> Deletion:
    try:
        return deleting.delete_now(
            job, who=who, sure=options["sure"], leaves=options["leave_files"]
        )
    except NeedsSecondWord as lost:
        raise CommandError(f"{lost} Say --sure to delete it all the same.") from None
    except DeleteError as error:
        raise CommandError(str(error)) from None


def gone(deletion: Deletion) -> dict[str, Any]:
    left = f" Left: {deletion.left}." if deletion.left else ""
    said = f"Job {deletion.number} is deleted: {size_text(deletion.freed)} freed.{left}"
    facts = {"id": deletion.number, "freed": deletion.freed, "left": deletion.left}
    return {**facts, "said": said}


def seen(job: Job) -> dict[str, Any]:
    return {
        "id": job.pk,
        "name": job.name,
        "status": job.status,
        **belongings_of(job, Budget(MOST_FILES)).as_json(),
        "refusals": why_not(job),
        "warnings": warnings(job),
        "readers": list(map(reader_words, readings_of(job))),
        "stays": others_of(job),
    }


def in_words(told: dict[str, Any]) -> str:
    heaps = [
        f"{each['what']}: {each['count']}, {size_text(each['size'])}" for each in told["artifacts"]
    ]
    least = "" if told["bytes_here_are_all"] else "more than "
    lines = [
        f"Job {told['id']}, {told['name']} ({told['status']})",
        f"{told['folder']} on {told['machine']}",
        f"{least}{size_text(told['bytes_here'])} on this machine",
        *heaps,
        f"{counted(told['points'], 'point')} of metrics, {counted(told['events'], 'event')}",
        *(f"Not deleted: {each}" for each in told["refusals"]),
        *(f"Warning: {each}" for each in told["warnings"]),
        *told["readers"],
        *told["stays"],
    ]
    return "\n  ".join(lines)
