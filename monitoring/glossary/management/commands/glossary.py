from argparse import ArgumentParser
from typing import Any

from jobs.verl.glossary import Entry, found
from jobs.verl.releases import RELEASES
from platform_site.commands import JsonCommand


class Command(JsonCommand):
    help = "What verl's metrics mean: all, or those that have some words."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("words", nargs="*", help="a metric's name, or words to search for")
        parser.add_argument("--release", default="", choices=RELEASES, help="of verl")

    def handle(self, *args: Any, **options: Any) -> None:
        release = options["release"]
        entries = found(" ".join(options["words"]), release)
        text = "\n\n".join(in_words(entry, release) for entry in entries)
        data = [in_json(entry) for entry in entries]
        self.show(options, data, text or "No metric has that in its name or its meaning.")


def in_words(entry: Entry, release: str) -> str:
    wrongs = [wrong for wrong in entry.wrong if not release or release in wrong.releases]
    lines = [
        ", ".join(entry.spelling),
        f"  {entry.title}. {entry.means}",
        f"  Healthy: {entry.healthy}",
        f"  Not: {entry.is_not}",
        *(f"  Wrong in verl {', '.join(wrong.releases)}: {wrong.why}" for wrong in wrongs),
    ]
    if entry.knobs:
        lines.append(f"  Moved by: {', '.join(knob.label for knob in entry.knobs)}")
    if entry.releases != RELEASES:
        lines.append(f"  Logged by verl {', '.join(entry.releases)}")
    return "\n".join(lines)


def in_json(entry: Entry) -> dict[str, Any]:
    return {
        "names": entry.names,
        "title": entry.title,
        "is": entry.means,
        "healthy": entry.healthy,
        "not": entry.is_not,
        "knobs": [knob.name for knob in entry.knobs],
        "releases": entry.releases,
        "wrong": [
            {"releases": wrong.releases, "why": wrong.why, "file": wrong.file, "line": wrong.line}
            for wrong in entry.wrong
        ],
    }
