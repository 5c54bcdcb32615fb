from argparse import ArgumentParser
from typing import Any

from jobs.artifacts.story import known_of
from jobs.management.base import find_job
from platform_site.commands import JsonCommand
from platform_site.counts import size_text


class Command(JsonCommand):
    help = "List the checkpoints of a run, newest first, as they are known here."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        job = find_job(options["id"])
        here = {fetch.step: fetch.target for fetch in job.fetches.all() if fetch.is_here}
        data = [
            {
                "step": saved.step,
                "attempt": saved.attempt,
                "artifact": saved.artifact.pk,
                "bytes": saved.artifact.size or 0,
                "saved_at": saved.artifact.made_at and saved.artifact.made_at.isoformat(),
                "is_complete": saved.artifact.is_whole,
                "why_not": saved.artifact.fault,
                "has_hf": saved.artifact.has_model,
                "machine": job.machine.name,
                "folder": saved.folder,
                "here": saved.folder if job.machine.is_local else here.get(saved.step),
            }
            for saved in known_of(job)
        ]
        self.show(options, data, "\n".join(map(in_a_line, data)))


def in_a_line(data: dict[str, Any]) -> str:
    state = "" if data["is_complete"] else " (not complete)"
    here = f", here: {data['here']}" if data["here"] not in (None, data["folder"]) else ""
    return f"{data['step']:>8} {size_text(data['bytes']):>10}  {data['folder']}{state}{here}"
