"""From a recipe to the job that merges models on the machine where they lie."""

import uuid as uuids

from django.contrib.auth.models import User

from compute.models import Machine
from jobs.launch.submit import Order, submit
from jobs.models import Artifact, Job, Place
from surgery.compose.checks import check
from surgery.kinds.merge import MergeSpec
from surgery.recipes.recipe import Recipe

OFFERED = 200  # models, the newest


def merge(
    text: str, machine: Machine, owner: User, *, name: str = "", uuid: uuids.UUID | None = None
) -> Job:
    """Queue a merge. The same ``uuid`` twice is the same job.

    Raises ``SurgeryError`` and ``RecipeError``.
    """
    recipe = check(text, machine, owner)
    order = Order(
        owner=owner,
        name=name or default_name(recipe),
        recipe="",
        spec=MergeSpec(text),
        steps=None,
        machine=machine,
        uuid=uuid or uuids.uuid4(),
    )
    return submit(order, start=True)


def default_name(recipe: Recipe) -> str:
    count = len(recipe.models)
    return f"{recipe.method.name} of {count} model{'' if count == 1 else 's'}"


def models_of(user: User) -> list[Place]:
    """The folders with a whole model that a merge can read, newest first."""
    mine = Artifact.objects.visible_to(user).filter(
        kind=Artifact.Kind.HUGGINGFACE, is_whole=True
    )  # fmt: skip
    places = Place.objects.there().filter(artifact__in=mine, path__startswith="/")
    return list(places.select_related("artifact__job", "machine").order_by("-pk")[:OFFERED])
