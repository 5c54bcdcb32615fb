"""Where the time of a job goes: the parts of its steps, and its wall time over all attempts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from jobs import events as kinds
from jobs.measured import SAVE_TIME
from jobs.models import Event, Job
from jobs.verl.timing import PREFIX, STEP, TESTING, VALIDATE
from monitoring.page.startup import startup_of
from monitoring.series.column import EMPTY, merged
from monitoring.store import points
from monitoring.timing import drawing, steps, wall
from monitoring.timing.drawing import Bar, Shape
from monitoring.timing.steps import Bound, StepTimes

COLUMNS = 120  # of a chart; of more steps each column is a mean
MOST = 5000  # events of a job that are read


@dataclass(frozen=True)
class Drawn:
    """The step times of one job as a page shows them. ``size`` steps are one column."""

    job: Job
    times: StepTimes
    highest: float
    size: int
    shapes: Sequence[Shape]
    bars: Sequence[Bar]
    bounds: Sequence[Bound]

    @property
    def last(self) -> int:
        return int(self.times.steps[-1])

    @property
    def is_warm(self) -> bool:
        """Whether a usual step is one without the first."""
        return len(self.times) >= steps.WARM


@dataclass(frozen=True)
class WallPart:
    """What took a job's time: drawn after so much of a hundred, so ``long``."""

    what: str
    label: str
    means: str
    seconds: float
    share: float
    begins: float
    long: float


@dataclass(frozen=True)
class Difference:
    """Seconds of a part in a usual step of two jobs."""

    label: str
    here: float
    there: float

    @property
    def words(self) -> str:
        more = self.there - self.here
        share = f" ({100 * more / self.here:+.0f} %)" if self.here else ""
        return f"{more:+.2f} s{share}"


# What each part of the wall time is called, and what it is.
SAID = {
    wall.TRAINING: ("Training", "that counts"),
    wall.VALIDATION: ("Validation", ""),
    wall.SAVES: ("Checkpoints", "while training stood still"),
    wall.START_UP: ("Start-up", "from the process to the first step"),
    wall.LOST: ("Lost", "done again by the next attempt"),
    wall.ENDING: ("Ending", "after the last step"),
    wall.START: ("Start", "until its process began: files on their way, Ray"),
    wall.QUEUE: ("Queue", "it waited"),
    wall.STOPPED: ("Stopped", "paused or ended, until it went on"),
}


def timing(job: Job) -> dict[str, Any]:
    """The panel of a job's page."""
    found = times_of(job)
    return {"job": job, "started": startup_of(job), **shown_of(job, found, [found])}


def shown_of(
    job: Job, found: StepTimes | None, beside: Sequence[StepTimes | None]
) -> dict[str, Any]:
    spent = wall_of(job)
    parts = list(wall_parts(spent)) if spent else []
    return {"drawn": drawn(job, found, beside), "wall": spent, "wall_parts": parts}


def wall_parts(spent: wall.Wall) -> Iterator[WallPart]:
    begins = 0.0
    for what, seconds in spent.seconds.items():
        share = seconds / spent.total
        long = round(100 * share, 2)
        yield WallPart(what, *SAID[what], seconds, share, round(begins, 2), long)
        begins += long


def differences(here: StepTimes, there: StepTimes) -> list[Difference]:
    """The parts of a usual step of two jobs, the largest difference first."""
    means = [{layer.part.label: layer.mean for layer in each.layers} for each in (here, there)]
    labels = dict.fromkeys([*means[0], *means[1]])
    found = [Difference(name, means[0].get(name, 0.0), means[1].get(name, 0.0)) for name in labels]
    found.sort(key=lambda each: abs(each.there - each.here), reverse=True)
    return [*found, Difference("Whole", here.mean, there.mean)]


def times_of(job: Job) -> StepTimes | None:
    """The parts of the job's steps; None where it logs no times."""
    parts = job.job_kind.step_parts(job.spec_of_kind)
    if not parts:
        return None
    found = points.window(job, steps.metrics_of(parts))
    return steps.step_times(parts, {name: window.column for name, window in found.items()})


def drawn(job: Job, times: StepTimes | None, beside: Sequence[StepTimes | None]) -> Drawn | None:
    """The drawing, on one scale with those that stand beside it."""
    if times is None:
        return None
    thin = [steps.thinned(each, COLUMNS) for each in beside if each]
    highest, shown = drawing.highest_of(thin), steps.thinned(times, COLUMNS)
    return Drawn(
        job=job,
        times=times,
        highest=highest,
        size=-(-len(times) // COLUMNS),
        shapes=drawing.shapes(shown, highest),
        bars=list(drawing.bars(times)),
        bounds=steps.bounds(times),
    )


def wall_of(job: Job) -> wall.Wall | None:
    """Where the wall time went; None for a job that was never queued."""
    moves = [move_of(event) for event in job.events.moves()[:MOST]]
    return wall.wall(moves, _told(job), timezone.now().timestamp()) if moves else None


def move_of(event: Event) -> wall.Move:
    return wall.Move(event.kind, event.at.timestamp(), event.attempt)


def _told(job: Job) -> wall.Told:
    names = [f"{PREFIX}{name}" for name in (STEP, TESTING, VALIDATE)]
    found = {name: w.column for name, w in points.window(job, [*names, SAVE_TIME]).items()}
    step, *validation = (found.get(name, EMPTY) for name in names)
    return wall.Told(
        written=points.times(job),
        durations=step,
        validation=merged(validation),
        saves=found.get(SAVE_TIME, EMPTY),
        checkpoints=list(_checkpoints(job)),
        resumed={e.attempt: _step(e) for e in job.events.of_platform().filter(kind=kinds.RESUMED)},
    )


def _checkpoints(job: Job) -> Iterator[wall.Saved]:
    rows = job.events.of_run().filter(kind__in=kinds.SAVES).order_by("-at")[:MOST]
    return (wall.Saved(_step(event), event.at.timestamp()) for event in rows)


def _step(event: Event) -> int:
    """What a run told is a whole number where there is one: see ``readers.told``."""
    return int(event.data.get("step") or 0)
