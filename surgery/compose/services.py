"""From a recipe to the job that merges models on the machine where they lie."""

import uuid as uuids

from django.contrib.auth.models import User

from compute.models import Machine
from jobs.models import Job
from surgery.compose.checks import check
from surgery.kinds.merge import MergeSpec
from surgery.making.services import queue
from surgery.recipes.recipe import Recipe


def merge(
    text: str, machine: Machine, owner: User, *, name: str = "", uuid: uuids.UUID | None = None
) -> Job:
    """Queue a merge. The same ``uuid`` twice is the same job.

    Raises ``NotSubmitted`` and ``RecipeError``.
    """
    recipe = check(text, machine, owner)
    named = name or default_name(recipe)
    return queue(MergeSpec(text), machine, owner, named, uuid or uuids.uuid4())


def default_name(recipe: Recipe) -> str:
    count = len(recipe.models)
    return f"{recipe.method.name} of {count} model{'' if count == 1 else 's'}"
