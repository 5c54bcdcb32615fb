"""What a job read on its machine: the folder of each input, with what is known of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from jobs.models import Artifact, Job, Place


@dataclass(frozen=True)
class Input:
    """``digest`` is empty until the job has told it. Without a ``place`` nothing is known of the
    folder but its path."""

    role: str
    path: str
    digest: str
    place: Place | None = None

    @property
    def artifact(self) -> Artifact | None:
        return self.place.artifact if self.place else None


def inputs_of(job: Job) -> list[Input]:
    """The inputs of a job in their order, with the SHA-256 that its newest attempt told of each."""
    kind = job.job_kind
    given = kind.reads(job.spec_of_kind).inputs
    digests = kind.read_digests(job.events.said(job.attempt)) if given else {}
    places = _places(job) if given else {}
    return [
        Input(role, path, _below(path, digests), _at(path, places)) for role, path in given.items()
    ]


def _below(path: str, digests: Mapping[str, str]) -> str:
    """The digest of a folder: a checkpoint may be named by what lies in it."""
    return next((told for where, told in digests.items() if f"{where}/".startswith(f"{path}/")), "")


def _places(job: Job) -> dict[str, Place]:
    """Where the artifacts lie, or lay, that the job's rows name."""
    read = Place.objects.filter(artifact__readings__job=job, machine=job.machine_id)
    return {place.path: place for place in read.select_related("artifact")}


def _at(path: str, places: Mapping[str, Place]) -> Place | None:
    """The place that a path names, or lies in."""
    above = (path, *map(str, PurePosixPath(path).parents))
    return next((places[each] for each in above if each in places), None)
