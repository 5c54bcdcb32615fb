"""What a job has, as far as it is known, and who reads it: told before it is deleted."""

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from jobs import measured
from jobs.files.parents import fetched_folder
from jobs.models import Artifact, Job, JobInput, Place, Status
from jobs.places import mirror_folder

MOST_FILES = 20_000  # looked at for a page, or for each job of a command; folders count


@dataclass
class Budget:
    """How many files and folders may still be looked at."""

    left: int


@dataclass(frozen=True)
class Heap:
    """Things of one kind: how many, and their bytes as they were last listed."""

    what: str
    count: int
    size: int


@dataclass(frozen=True)
class Belongings:
    """``here`` is what its files take on this machine, measured just now; ``here_is_all`` is false
    where there are too many of them to look at each."""

    folder: str
    machine: str
    is_local: bool
    is_retired: bool
    heaps: list[Heap]
    here: int
    here_is_all: bool
    points: int
    events: int

    def as_json(self) -> dict[str, Any]:
        return {
            "folder": self.folder,
            "machine": self.machine,
            "artifacts": list(map(asdict, self.heaps)),
            "bytes_here": self.here,
            "bytes_here_are_all": self.here_is_all,
            "points": self.points,
            "events": self.events,
        }


def belongings_of(job: Job, budget: Budget) -> Belongings:
    """Several jobs of a page share one budget."""
    size, is_all = measure(folders_here(job), budget)
    return Belongings(
        folder=run_folder(job),
        machine=job.machine.name,
        is_local=job.machine.is_local,
        is_retired=job.machine.is_retired,
        heaps=list(_heaps(job)),
        here=size,
        here_is_all=is_all,
        points=measured.counts([job.pk]).get(job.pk, 0),
        events=job.events.count(),
    )


def run_folder(job: Job) -> str:
    """With all its attempts, on its machine."""
    return str(PurePosixPath(job.machine.attempt_dir(job.uuid, 1)).parent)


def folders_here(job: Job) -> list[Path]:
    """What it has on this machine: its run folder, what is kept here beside it or of a far one, and
    what was brought here."""
    own = [Path(run_folder(job))] if job.machine.is_local else []
    return [*own, mirror_folder(job.uuid), fetched_folder(job)]


def measure(folders: list[Path], budget: Budget) -> tuple[int, bool]:
    """The bytes of the files in these folders, and whether that is all of them."""
    sizes = list(islice(_sizes(folders), budget.left + 1))
    is_all = len(sizes) <= budget.left
    budget.left = max(0, budget.left - len(sizes))
    return sum(sizes if is_all else sizes[:-1]), is_all


def _sizes(folders: list[Path]) -> Iterator[int]:
    """The size of each file; a folder counts as one of none."""
    for folder in folders:
        for where, _, names in os.walk(folder):
            yield 0
            for name in names:
                try:
                    yield Path(where, name).lstat().st_size
                except OSError:  # it went meanwhile
                    continue


def _heaps(job: Job) -> Iterator[Heap]:
    """By kind; only those that still lie somewhere."""
    sizes: dict[str, list[int]] = {}
    there = Place.objects.there().filter(artifact__job=job)
    for kind, size in there.values_list("artifact__kind", "artifact__size"):
        sizes.setdefault(Artifact.Kind(kind).label, []).append(size or 0)
    for what, each in sizes.items():
        yield Heap(what, len(each), sum(each))


def readings_of(job: Job) -> list[JobInput]:
    """What other jobs read, or read once, of what this one made or has yet to make."""
    made = JobInput.objects.filter(artifact__job=job) | JobInput.objects.filter(source=job)
    others = made.exclude(job=job).select_related("job", "artifact")
    return list(others.order_by("job_id", "pk"))


def reader_words(reading: JobInput) -> str:
    job, what = reading.job, f"the {reading.artifact}" if reading.artifact else "its newest model"
    reads = "has read" if job.is_over else "reads"
    verb = "is to read" if job.status == Status.DRAFT else reads
    return f"Job {job.pk} ({job.name}), which is {job.stands}, {verb} {what}."


def others_of(job: Job) -> list[str]:
    """What else came of it or was read by it, in sentences: nothing of that goes with it."""
    told = [
        f"The recipe {saved.slug}, saved from it, stays." for saved in job.savedrecipe_set.all()
    ]
    if clones := Job.objects.filter(recipe=f"job-{job.pk}").exclude(pk=job.pk).count():
        told.append(f"Jobs that began with its settings stay as they are: {clones}.")
    if job.dataset_version:
        told.append(f"The data set {job.dataset_version.label}, which it read, stays.")
    return told
