"""What the files of a run say, and whether the platform has exactly that."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from jobs import events
from jobs.models import Event, Job, Lease, Status
from monitoring.models import Cursor, Series, SystemSample
from tests.chaos.stories import Cast, Ground, Story
from tests.factories import points_of

# A wrapper was killed in the moment when it began: it is a run of its own, and none of ours.
NEVER_BEGAN = "It never gave a sign of life after it was started."
FOLLOWED = ("metrics.jsonl", "system.jsonl", "events.jsonl", "provenance.jsonl", "train.log")


def faults(cast: Cast) -> list[str]:
    """Every way in which what is kept differs from what happened."""
    starts = starts_of(cast.ground)
    found = [*machine_faults(cast.ground)]
    for story in cast.stories:
        job = cast.job(story)
        told = [*end_faults(story, job), *start_faults(job, starts), *kept_faults(job)]
        found += [f"job {job.pk} ({story.name}, attempt {job.attempt}): {fault}" for fault in told]
    return found


def never_began(job: Job) -> bool:
    """Nothing of it ran, though its start had begun: that is its true state then."""
    return job.status == Status.LOST and job.reason.startswith(NEVER_BEGAN)


def starts_of(ground: Ground) -> Counter[tuple[str, str]]:
    """How often each attempt's trainer really started."""
    lines = ground.starts.read_text().splitlines() if ground.starts.exists() else []
    return Counter((line.split()[0], line.split()[1]) for line in lines)


def end_faults(story: Story, job: Job) -> Iterator[str]:
    if never_began(job):
        return
    if job.status != story.end:
        yield f"it is {job.status}, not {story.end}: {job.reason}"
    if job.exit_code != story.exit_code:
        yield f"its exit code is {job.exit_code}, not {story.exit_code}"
    if story.end == Status.COMPLETED and job.step != story.steps:
        yield f"it ends at step {job.step} of {story.steps}"
    if story.asks:
        yield f"{story.asks} was never asked"


def start_faults(job: Job, starts: Counter[tuple[str, str]]) -> Iterator[str]:
    for attempt in range(1, job.attempt + 1):
        count = starts[str(job.uuid), f"attempt-{attempt}"]
        cut_off = job.events.filter(kind=events.CUT_OFF, attempt=attempt).exists()
        expected = 0 if cut_off or (attempt == job.attempt and never_began(job)) else 1
        if count != expected:
            yield f"attempt {attempt} started {count} times"


def kept_faults(job: Job) -> Iterator[str]:
    points, written = stored(job), dict[tuple[str, int], float]()
    for attempt in range(1, job.attempt + 1):
        folder = Path(job.machine.attempt_dir(job.uuid, attempt))
        lines = list(json_lines(folder / "metrics.jsonl"))
        first = min((line["step"] for line in lines), default=0)
        written = {key: value for key, value in written.items() if not lines or key[1] < first}
        written |= {(k, line["step"]): v for line in lines for k, v in line["data"].items()}
        yield from attempt_faults(job, attempt, folder)
    if points != written:
        apart = sorted({key[1] for key, _ in points.items() ^ written.items()})
        yield f"{len(points)} points are kept, {len(written)} written; apart at {apart[:9]}"
    steps = sorted({step for _, step in points})
    if steps != list(range(1, len(steps) + 1)):
        yield "its steps have gaps"
    if sum(series.count for series in job.series.all()) != len(points):
        yield "a point is counted twice"
    if Series.objects.filter(job=job).count() != len({name for name, _ in points}):
        yield "a series is there twice"


def attempt_faults(job: Job, attempt: int, folder: Path) -> Iterator[str]:
    kept = Event.objects.filter(job=job, attempt=attempt, source=Event.Source.RUN)
    told = [line["kind"] for line in json_lines(folder / "events.jsonl")]
    if list(kept.order_by("position").values_list("kind", flat=True)) != told:
        yield f"of the events of attempt {attempt} {kept.count()} of {len(told)} are kept"
    samples = SystemSample.objects.filter(job=job, attempt=attempt).count()
    if samples != (count := len(list(json_lines(folder / "system.jsonl")))):
        yield f"{samples} of {count} samples of attempt {attempt} are kept"
    read = dict(Cursor.objects.filter(job=job, attempt=attempt).values_list("file", "offset"))
    for name in FOLLOWED:
        size = (folder / name).stat().st_size if (folder / name).exists() else 0
        if read.get(name, 0) != size:
            yield f"{read.get(name, 0)} of {size} bytes of {name} of attempt {attempt} are read"
    if not job.machine.is_local and (folder / "train.log").exists():
        yield from mirror_faults(job, attempt, (folder / "train.log").read_bytes())


def mirror_faults(job: Job, attempt: int, far: bytes) -> Iterator[str]:
    from monitoring.mirror import log_file

    seen = Job(uuid=job.uuid, machine=job.machine, attempt=attempt)
    if log_file(seen).read_bytes() != far:
        yield f"the log of attempt {attempt} here differs from the one there"


def machine_faults(ground: Ground) -> Iterator[str]:
    held = Job.objects.active().filter(machine=ground.machine)
    if held.exists() or Lease.objects.filter(machine=ground.machine).exists():
        yield f"{ground.machine} still has leases or runs: {list(held)}"
    left = [each for each in psutil.process_iter() if runs_in(each, str(ground.trainer.folder))]
    left += [each for each in psutil.process_iter() if runs_in(each, ground.machine.workdir)]
    if left:
        yield f"{ground.machine} still has processes: {[each.cmdline() for each in left]}"


def runs_in(process: psutil.Process, folder: str) -> bool:
    """A wrapper, a trainer or a command of the node in this folder."""
    try:
        line = " ".join(process.cmdline())
    except psutil.Error:
        return False
    return folder in line and ("trainyard_node" in line or "fake_trainer" in line)


def stored(job: Job) -> dict[tuple[str, int], float]:
    return {key: value for key, value in points_of(job).items() if not math.isnan(value)}


def json_lines(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        yield from map(json.loads, path.read_text().splitlines())
