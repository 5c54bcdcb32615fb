"""The checkpoints that a job as it stands now came by, over all its attempts."""

from dataclasses import dataclass

from jobs import events
from jobs.models import Artifact, Job, Place


@dataclass(frozen=True)
class Saved:
    """A checkpoint of one attempt; ``folder`` is its absolute path on the run's machine."""

    artifact: Artifact
    folder: str
    place: int  # its key

    @property
    def step(self) -> int:
        return self.artifact.step or 0

    @property
    def attempt(self) -> int:
        return self.artifact.attempt or 0


def known_of(job: Job) -> list[Saved]:
    """All checkpoints that the job as it stands now came by, newest first, as they were last
    listed. No machine is asked.

    An attempt that went on from step 20 makes what its forerunner saved after step 20 another
    story: it is left out.
    """
    places = Place.objects.there().filter(
        machine=job.machine_id, artifact__job=job, artifact__kind=Artifact.Kind.CHECKPOINT
    )
    newest_first = places.order_by("-artifact__attempt", "-artifact__step")
    last = _last_steps(job)
    return [
        Saved(place.artifact, place.path, place.pk)
        for place in newest_first.select_related("artifact")
        if place.artifact.step is not None
        and place.artifact.step <= last.get(place.artifact.attempt, place.artifact.step)
    ]


def _last_steps(job: Job) -> dict[int | None, int]:
    """Up to which step each attempt is part of the story; all of it where there is no entry."""
    if job.attempt == 1:
        return {}
    began = _began(job)
    last: dict[int | None, int] = {}
    for attempt in range(job.attempt - 1, 0, -1):
        steps = [each[attempt + 1] for each in (began, last) if attempt + 1 in each]
        if steps:
            last[attempt] = min(steps)
    return last


def _began(job: Job) -> dict[int, int]:
    """The step that each attempt went on from; an attempt that never started has none."""
    told = job.events.of_platform().filter(kind=events.RESUMED)
    rows = told.values_list("attempt", "data")
    return {attempt: int(data.get("step", 0)) for attempt, data in rows}
