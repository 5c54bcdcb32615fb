"""The models that were made from what runs made: exported, averaged, merged. No disk is read."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from django.contrib.auth.models import User

from jobs.models import Artifact, Job, JobInput, Place
from surgery.choice.flags import Flag

MOST_LEVELS = 8  # of models made from models
MOST = 500  # models, the newest
# What is said of a model, by the kind of job that made it; of another, its label.
WORDS: Mapping[str, str] = {"export": "exported", "merge": "merged", "average": "averaged",
                            "convert": "converted"}  # fmt: skip


@dataclass(frozen=True)
class Made:
    """A model and the job that made it. It is of no one step, so no metric of a run is its own:
    what is known of it, evaluations found."""

    artifact: Artifact
    folder: str
    job: Job
    values: Mapping[str, float | None] = field(default_factory=dict)  # by the columns of a table
    step: None = None
    flags: Sequence[Flag] = ()

    @property
    def name(self) -> str:
        return self.job.name

    @property
    def states(self) -> list[str]:
        """What it is good for."""
        kind = self.job.job_kind
        how = WORDS.get(kind.slug, kind.label.lower())
        return ["Hugging Face", how] if self.artifact.is_whole else ["not whole", how]


def made_of(jobs: Sequence[Job], user: User | None = None) -> list[Made]:
    """What was made from what these jobs made, and what those of them made that train nothing
    themselves; the newest first, as far as the user may see it.

    A run that trained on such a model is another run: it is not followed.
    """
    makers = {job.pk: job for job in jobs if not job.job_kind.has_recipes}
    level = {job.pk: job for job in jobs}
    for _ in range(MOST_LEVELS):
        found = _readers(level, user)
        level = {pk: job for pk, job in found.items() if pk not in makers}
        makers |= level
        if not level:
            break
    return _models(makers)


def _readers(makers: Collection[int], user: User | None) -> dict[int, Job]:
    """The jobs that made something of what these ones made."""
    reads = JobInput.objects.filter(artifact__job__in=makers)
    jobs = Job.objects.filter(pk__in=reads.values("job")).select_related("machine", "owner")
    visible = jobs if user is None else jobs.visible_to(user)
    return {job.pk: job for job in visible if not job.job_kind.has_recipes}


def _models(makers: Mapping[int, Job]) -> list[Made]:
    """Each model once: where its job ran, or else where it was brought."""
    models = Place.objects.there().filter(artifact__kind=Artifact.Kind.HUGGINGFACE)
    rows = models.filter(artifact__job__in=makers).select_related("artifact")
    found = dict[int, Made]()
    for place in rows.order_by("-artifact__made_at", "-artifact", "pk")[:MOST]:
        job = makers[place.artifact.job_id or 0]
        if place.artifact_id not in found or place.machine_id == job.machine_id:
            found[place.artifact_id] = Made(place.artifact, place.path, job)
    return list(found.values())
