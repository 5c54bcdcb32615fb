"""What fills the form of a job: the values of a draft, or a checkpoint to train on."""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import User

from jobs.kinds.base import CHECKPOINTS, MODEL
from jobs.models import Artifact, Job, JobInput, Place
from jobs.order.forms import initial, limits_of
from jobs.recipebook import book
from jobs.verl.knobs import find
from jobs.verl.recipes import Recipe

FILES = ("train_files", "val_files")


class NotTrainable(Exception):
    """No job can train on an artifact as it is. The message is a sentence for the user."""


class NoSettings(NotTrainable):
    """One can, but no job is known whose settings the new one could take: a recipe has some."""


def draft_of(job: Job) -> tuple[Recipe, Recipe, dict[str, Any]]:
    """The recipe that a draft is based on, that recipe with the draft's values, and the fields of
    the form which are no knobs."""
    base, filled = book.cloned_from(job, job.owner)
    own = {
        "name": job.name,
        "machine": job.machine_id,
        "uuid": job.uuid,
        "dataset": job.dataset_version_id or "",
        "after": job.after_id or "",
        "after_checkpoint": job.trains_on,
        **limits_of(job),
    }
    return base, filled, own


def initial_of_draft(filled: Recipe, own: Mapping[str, Any]) -> dict[str, Any]:
    return initial(filled) | dict(own)


def sets_of_draft(kind: str, own: Mapping[str, Any], sets: list[str]) -> list[str]:
    """``key=value`` of a draft, then those of somebody who changes it. Files that are named take
    the place of the data set."""
    named = {knob.name for text in sets if (knob := find(kind, text.partition("=")[0]))}
    kept = {**own, "dataset": ""} if named & set(FILES) else own
    return [*(f"{name}={value}" for name, value in kept.items()), *sets]


def training_on(artifact: Artifact, user: User) -> tuple[Job, Recipe, dict[str, Any]]:
    """For a job that trains on an artifact: the job whose settings it takes, the recipe of that,
    and the values of the form. Raises ``NotTrainable``."""
    model, place = model_in(artifact)
    job = _trained_by(artifact)
    if job is None:
        raise NoSettings("No job is kept whose settings a new one could take: choose a recipe.")
    base, filled = book.cloned_from(job, user)
    step = f", on step {artifact.step}" if artifact.step is not None else ", on its model"
    values = initial(filled) | limits_of(job)
    more = {
        "name": f"{job.name[:160]}{step}", "machine": place.machine_id,
        job.job_kind.base_model: model,
    }  # fmt: skip
    return job, base, values | more


def model_in(artifact: Artifact) -> tuple[str, Place]:
    """The Hugging Face folder that verl can begin with, and where it lies. Raises
    ``NotTrainable``."""
    if not artifact.is_whole:
        raise NotTrainable(f"The {artifact} is not whole. {artifact.fault}")
    place = _place_of(artifact)
    if place is None:
        raise NotTrainable(f"The {artifact} lies nowhere that is known.")
    if artifact.kind == Artifact.Kind.HUGGINGFACE:
        return place.path, place
    below = _model_below(artifact)
    if artifact.kind != Artifact.Kind.CHECKPOINT or below is None:
        raise NotTrainable(
            f"The {artifact} has no whole model as Hugging Face's libraries read it, with which "
            "verl could begin. Export it first: the page of the export leads on from there."
        )
    return f"{place.path}/{below}", place


def _place_of(artifact: Artifact) -> Place | None:
    """Where its job ran, before any place that it was brought to."""
    places = list(artifact.places.there().select_related("machine"))
    home = artifact.job.machine_id if artifact.job else None
    return min(places, key=lambda place: place.machine_id != home, default=None)


def _model_below(artifact: Artifact) -> str | None:
    """The model's folder within a checkpoint: what the kind says that it makes, below the folder of
    checkpoints and of the step."""
    job = artifact.job
    if job is None or not artifact.has_model:
        return None
    made = job.job_kind.makes(job.spec_of_kind)
    saved = [product.path for product in made if product.sort == CHECKPOINTS]
    models = [product.path for product in made if product.sort == MODEL]
    for folder in saved:
        for model in models:
            if model.startswith(f"{folder}/"):
                return model.removeprefix(f"{folder}/").partition("/")[2]
    return None


def _trained_by(artifact: Artifact) -> Job | None:
    """The job with settings of training that made it; of what other jobs made, the nearest one that
    made what they read."""
    level, seen = [artifact.job_id], set[int]()
    while jobs := {pk for pk in level if pk is not None} - seen:
        found = Job.objects.filter(pk__in=jobs).select_related("machine", "owner").order_by("pk")
        trained = [job for job in found if job.job_kind.has_recipes]
        if trained:
            return trained[-1]
        seen |= jobs
        read = JobInput.objects.filter(job__in=jobs, artifact__job__isnull=False)
        level = list(read.values_list("artifact__job", flat=True))
    return None
