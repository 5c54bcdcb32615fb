"""Where the time of a run goes, for people and programs: as the panel of its page has it."""

from argparse import ArgumentParser
from typing import Any

from jobs.management.base import find_job
from jobs.models import Job
from monitoring.page import timing
from monitoring.page.startup import startup_of
from platform_site.commands import JsonCommand


class Command(JsonCommand):
    help = "Show where the time of a run goes: its steps by part, its start, its wall time."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        data = in_json(find_job(options["id"]))
        self.show(options, data, "\n".join(in_words(data)))


def in_json(job: Job) -> dict[str, Any]:
    found, spent, started = timing.times_of(job), timing.wall_of(job), startup_of(job)
    drawn = timing.drawn(job, found, [found])
    return {
        "bounds": [
            {"bound": each.work.bound, "share": each.share, "knobs": each.work.knobs}
            for each in (drawn.bounds if drawn else [])
        ],
        "parts": [
            {
                "part": bar.layer.part.label,
                "metric": bar.layer.part.metric if bar.layer.part.name else None,
                "seconds_a_step": bar.layer.mean,
                "share": bar.share,
                "seconds": bar.layer.total,
            }
            for bar in (drawn.bars if drawn else [])
        ],
        "seconds_a_step": found.mean if found else None,
        "start": [
            {"phase": line.phase.name, "seconds": line.seconds, "last_time": line.last}
            for line in (started.lines if started else [])
        ],
        "wall": dict(spent.seconds) if spent else {},
        "training_share": spent.ratio if spent else None,
    }


def in_words(data: dict[str, Any]) -> list[str]:
    lines = [f"{b['bound'].capitalize()}: {b['share']:.0%} of the time." for b in data["bounds"]]
    lines += [
        f"  {part['part']:<24} {part['seconds_a_step']:>9.2f} s a step  {part['share']:>4.0%}"
        for part in data["parts"]
    ]
    if not data["parts"]:
        lines.append("No step of this run has told its times.")
    done = [each for each in data["start"] if each["seconds"] is not None]
    lines += ["Start:"] if done else []
    lines += [f"  {each['phase']:<24} {each['seconds']:>9.1f} s" for each in done]
    if data["training_share"] is not None:
        lines.append(f"{data['training_share']:.0%} of its wall time went into training:")
        lines += [f"  {what:<24} {seconds:>9.1f} s" for what, seconds in data["wall"].items()]
    return lines
