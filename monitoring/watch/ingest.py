"""From whole lines of a run's files to rows. Each returns the job's fields that changed."""

import logging
from collections.abc import Callable, Iterable, Mapping

from compute.runners import rundir
from jobs.models import Event, Job
from monitoring.models import Point, Series, SystemSample
from monitoring.readers.lines import Line
from monitoring.readers.records import Record, read_records
from monitoring.readers.verl_metrics import read_points

log = logging.getLogger(__name__)
PLANNED = "planned"
MOST_STEPS = 2**31 - 1  # that a column holds
SAVES = {"checkpoint", "paused"}  # events after which there is another checkpoint
Save = Callable[[Job, list[Line]], dict[str, object]]


def save_metrics(job: Job, lines: list[Line]) -> dict[str, object]:
    points, broken = read_points(lines)
    for line in broken:
        log.warning("%s: byte %d of the metrics is not readable", job, line.position)
    if not points:
        return {}
    series = _series(job, {name for name, _ in points})
    Point.objects.bulk_create(
        [
            Point(job=job, series=series[name], step=step, value=value, revision=job.revision)
            for (name, step), value in points.items()
        ],
        update_conflicts=True,
        unique_fields=["series", "step"],
        update_fields=["value", "revision"],
        batch_size=2000,
    )
    _remember_last(series, points)
    last = max(step for _, step in points)
    return {"step": last} if last > job.step else {}


def _series(job: Job, names: set[str]) -> dict[str, Series]:
    known = {series.name: series for series in job.series.filter(name__in=names)}
    missing = [Series(job=job, name=name) for name in sorted(names - known.keys())]
    if missing:
        Series.objects.bulk_create(missing)
        known |= {series.name: series for series in missing}
    return known


def _remember_last(series: Mapping[str, Series], points: Mapping[tuple[str, int], float]) -> None:
    for (name, step), value in points.items():
        if step >= series[name].last_step:
            series[name].last_step, series[name].last_value = step, value
    Series.objects.bulk_update(series.values(), ["last_step", "last_value"])


def save_system(job: Job, lines: list[Line]) -> dict[str, object]:
    SystemSample.objects.bulk_create(
        [
            SystemSample(
                job=job,
                at=record.at,
                data=record.data,
                revision=job.revision,
                attempt=job.attempt,
                position=record.position,
            )
            for record in read_records(lines)
        ],
        ignore_conflicts=True,
    )
    return {}


def save_events(job: Job, lines: list[Line]) -> dict[str, object]:
    events = [_event(job, record) for record in read_records(lines)]
    Event.objects.bulk_create(events, ignore_conflicts=True)
    changes: dict[str, object] = _planned(job, events)
    return changes | ({"listing_due": True} if SAVES & {event.kind for event in events} else {})


def _planned(job: Job, events: Iterable[Event]) -> dict[str, object]:
    """How much the job says that it will do; a stranger's number is looked at first."""
    told = [event.data.get("steps") for event in events if event.kind == PLANNED]
    counts = [steps for steps in told if type(steps) is int and 0 < steps <= MOST_STEPS]
    return {"steps": counts[-1]} if counts else {}


def _event(job: Job, record: Record) -> Event:
    return Event(
        job=job,
        at=record.at,
        kind=str(record.data.pop("kind", "event"))[:40],
        message=str(record.data.pop("message", "")),
        source=Event.Source.RUN,
        data=record.data,
        attempt=job.attempt,
        position=record.position,
    )


def save_log(job: Job, lines: list[Line]) -> dict[str, object]:
    """The log stays where it is; only its own word on how much it will do is taken from it."""
    if job.step:
        return {}  # it says so before the first step; later the words may be an answer's
    steps = job.job_kind.planned(line.text for line in lines)
    return {"steps": steps} if steps and steps != job.steps else {}


FILES: Mapping[str, Save] = {
    rundir.LOG: save_log,
    rundir.EVENTS: save_events,
    rundir.SYSTEM: save_system,
    rundir.METRICS: save_metrics,
}
