from argparse import ArgumentParser
from typing import Any

from jobs.management.base import find_job
from jobs.models import Event
from platform_site.commands import JsonCommand


class Command(JsonCommand):
    help = "List what happened to a job: when, what, who asked, and why."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        events = list(find_job(options["id"]).events.all())
        lines = "\n".join(as_line(event) for event in events)
        self.show(options, [as_json(event) for event in events], lines or "Nothing yet.")


def as_line(event: Event) -> str:
    who = f" by {event.who}" if event.who else ""
    return f"{event.at:%F %T}  {event.attempt:>3}  {event.kind}{who}  {event.message}"


def as_json(event: Event) -> dict[str, Any]:
    return {
        "at": event.at.isoformat(),
        "attempt": event.attempt,
        "kind": event.kind,
        "who": event.who,
        "message": event.message,
        "source": event.source,
        "data": event.data,
    }
