"""From whole lines of a run's files to rows. Whatever is no such line is left out, and told."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from compute.runners import rundir
from compute.runners.samples import clean_run_sample
from jobs import events as kinds
from jobs.models import Event, Job
from jobs.provenance.keeping import keep
from monitoring.models import SystemSample
from monitoring.readers.lines import Line
from monitoring.readers.pace import remember
from monitoring.readers.provenance import read_parts
from monitoring.readers.records import Record, read_records
from monitoring.readers.told import clean_event
from monitoring.readers.verl_metrics import read_metrics
from monitoring.store import points

MOST_STEPS = 2**31 - 1  # that a column holds
When = Callable[[], datetime]  # says when the newest line was written; asking may take a moment


@dataclass(frozen=True)
class Kept:
    """The job's fields that changed, and the lines that were left out."""

    changes: dict[str, object] = field(default_factory=dict)
    broken: Sequence[Line] = ()


Save = Callable[[Job, list[Line], When], Kept]


def save_metrics(job: Job, lines: list[Line], when: When) -> Kept:
    at = when()
    found = read_metrics(lines, at.timestamp())
    points.append(job, found.frames, found.times)
    changes = _pace(job, found.last_step, at) if found.last_step > job.step else {}
    return Kept(changes, found.broken)


def _pace(job: Job, step: int, at: datetime) -> dict[str, object]:
    """When the newest steps were written, and the first such fact as the anchor."""
    anchor = {} if job.anchor_at else {"anchor_step": step, "anchor_at": at}
    recent = remember(job.recent_steps, step, at.timestamp())
    return {"step": step, "step_at": at, "recent_steps": recent, **anchor}


def save_system(job: Job, lines: list[Line], when: When) -> Kept:
    records = read_records(lines, clean_run_sample)
    SystemSample.objects.bulk_create(
        [
            SystemSample(
                job=job,
                at=record.at,
                data=record.data,
                attempt=job.attempt,
                position=record.position,
            )
            for record in records.found
        ],
        ignore_conflicts=True,
    )
    return Kept(broken=records.broken)


def save_events(job: Job, lines: list[Line], when: When) -> Kept:
    records = read_records(lines, clean_event)
    events = [_event(job, record) for record in records.found]
    Event.objects.bulk_create(events, ignore_conflicts=True)
    changes: dict[str, object] = _planned(job, events)
    if kinds.SAVES & {event.kind for event in events}:
        changes["listing_due"] = True
    return Kept(changes, records.broken)


def _planned(job: Job, events: Iterable[Event]) -> dict[str, object]:
    """How much the job says that it will do; a stranger's number is looked at first."""
    told = [event.data.get("steps") for event in events if event.kind == kinds.RUN_PLANNED]
    counts = [steps for steps in told if type(steps) is int and 0 < steps <= MOST_STEPS]
    return {"steps": counts[-1]} if counts else {}


def _event(job: Job, record: Record) -> Event:
    return Event(
        job=job,
        at=record.at,
        kind=record.data.pop("kind"),
        message=record.data.pop("message"),
        source=Event.Source.RUN,
        data=record.data,
        attempt=job.attempt,
        position=record.position,
    )


def save_provenance(job: Job, lines: list[Line], when: When) -> Kept:
    parts = read_parts(lines)
    for part in parts.found.values():
        keep(job, part.name, part.at, part.data)
    return Kept(broken=parts.broken)


def save_log(job: Job, lines: list[Line], when: When) -> Kept:
    """The log stays where it is; only its own word on how much it will do is taken from it."""
    if job.step:
        return Kept()  # it says so before the first step; later the words may be an answer's
    steps = job.job_kind.planned(line.text for line in lines)
    return Kept({"steps": steps} if steps and steps != job.steps else {})


FILES: Mapping[str, Save] = {
    rundir.LOG: save_log,
    rundir.EVENTS: save_events,
    rundir.SYSTEM: save_system,
    rundir.METRICS: save_metrics,
    rundir.PROVENANCE: save_provenance,
}
