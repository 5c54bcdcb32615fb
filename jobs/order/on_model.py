"""From a model that was made to the form of a job that trains on it, by a recipe."""

from typing import Any

from django.contrib.auth.models import User

from jobs.kinds.registry import registry
from jobs.models import Artifact
from jobs.order.filling import NotTrainable, model_in
from jobs.verl.recipes import Recipe
from platform_site.fields import asked_key


def model_asked(text: str, user: User) -> Artifact | None:
    """The artifact of an address, if the user may read it and a job can train on it."""
    if (key := asked_key(text)) is None:
        return None
    mine = Artifact.objects.visible_to(user).select_related("job__machine")
    artifact = mine.filter(pk=key).first()
    try:
        return artifact if artifact and model_in(artifact) else None
    except NotTrainable:
        return None


def values_of(artifact: Artifact, recipe: Recipe) -> dict[str, Any]:
    """What the form is filled with."""
    model, place = model_in(artifact)
    name = registry().find(recipe.kind).base_model
    return {name: model, "machine": place.machine_id} if name else {}
