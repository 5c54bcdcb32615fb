"""What happened at which step of a run, for the axes of its charts."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

from jobs import events
from jobs.models import Event, Job
from monitoring.series.column import Column
from monitoring.store import points
from platform_site.events import Severity, kinds_of
from surgery.choice.metrics import is_validation

RESUME, CHECKPOINT, EVALUATION, ALERT = "resume", "checkpoint", "evaluation", "alert"
MOST = 1000  # of each sort, the newest


@dataclass(frozen=True)
class Mark:
    step: int
    kind: str
    words: str


def marks_of(job: Job) -> list[dict[str, object]]:
    """By step; an alert that names no step stands at the last one that was written before it."""
    found = [*_told(job), *_evaluations(job)]
    return [asdict(mark) for mark in sorted(found, key=lambda mark: mark.step)]


def alerts() -> set[tuple[str, str]]:
    kinds = kinds_of(Event.Source.values)
    return {(kind.source, kind.name) for kind in kinds if kind.severity != Severity.INFO}


def _told(job: Job) -> Iterator[Mark]:
    wrong = alerts()
    places = {(Event.Source.PLATFORM, events.RESUMED): RESUME}
    places |= {(Event.Source.RUN, kind): CHECKPOINT for kind in events.SAVES}
    places |= dict.fromkeys(wrong, ALERT)  # type: ignore[arg-type]
    rows = job.events.filter(kind__in={kind for _, kind in places}).reverse()[: 3 * MOST]
    told = [event for event in reversed(rows) if (event.source, event.kind) in places]
    times = points.times(job) if told else None
    for event in told:
        sort = places[event.source, event.kind]  # type: ignore[index]
        if (step := _step_of(event, times)) is not None:
            yield Mark(step, sort, event.means.words)


def _step_of(event: Event, times: Column | None) -> int | None:
    said = event.data.get("step")
    if isinstance(said, int) and 0 <= said < 2**53:
        return said
    if times is None or not len(times):
        return None
    place = bisect_right(times.values.tolist(), event.at.timestamp())
    return int(times.steps[max(0, place - 1)])


def _evaluations(job: Job) -> Iterable[Mark]:
    """Wherever validation wrote a figure. One metric of it stands for all."""
    name = next((name for name in points.all_names(job) if is_validation(name)), None)
    if name is None:
        return []
    steps = points.window(job, [name])[name].column.steps[-MOST:]
    return [Mark(step, EVALUATION, "Evaluation") for step in steps.tolist()]
