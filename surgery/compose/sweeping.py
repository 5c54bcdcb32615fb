"""From a recipe and a range to the jobs of a sweep."""

import math
import uuid as uuids
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import transaction

from compute.models import Machine
from jobs.models import Artifact
from surgery.compose import scoring
from surgery.compose.checks import check
from surgery.compose.models import Sweep, Swept
from surgery.kinds.merge import MergeSpec
from surgery.making.checks import SurgeryError
from surgery.making.services import queue
from surgery.recipes.recipe import Recipe, read_recipe
from surgery.recipes.sweep import read_range, swept


class Changed(SurgeryError):
    """The sweep of this number was made of another recipe, range, name or machine."""


@dataclass(frozen=True)
class Planned:
    """One merge that a sweep would make."""

    value: float
    text: str
    recipe: Recipe


def plan(text: str, over: str, machine: Machine, user: User) -> list[Planned]:
    """The merges of a sweep, each checked. Raises ``SurgeryError`` and ``RecipeError``."""
    recipes = swept(text, read_range(over))
    planned = [Planned(value, each, read_recipe(each)) for value, each in recipes]
    check(planned[0].text, machine, user)  # all read the same models
    return planned


def sweep(
    text: str, over: str, machine: Machine, owner: User, *, name: str = "",
    uuid: uuids.UUID | None = None,
) -> Sweep:  # fmt: skip
    """Queue the merges of a sweep. The same ``uuid`` twice is the same sweep.

    Raises ``NotSubmitted``, ``Changed`` among them, and ``RecipeError``.
    """
    planned = plan(text, over, machine, owner)
    parameter = read_range(over).name
    called = (name or f"{planned[0].recipe.method.name} over {parameter}")[:170]
    facts = {"name": called, "recipe": text, "parameter": parameter, "over": over}
    number = uuid or uuids.uuid4()
    with transaction.atomic():
        made, is_new = Sweep.objects.get_or_create(owner=owner, uuid=number, defaults=facts)
        for each in planned if is_new else ():
            own = uuids.uuid5(number, f"{owner.pk} {each.value!r}")
            title = f"{called}, {parameter} {each.value:g}"
            job = queue(MergeSpec(each.text), machine, owner, title, own)
            made.merges.create(job=job, value=each.value)
    if not is_new and _is_other(made, facts, machine):
        raise Changed(
            f"Nothing was made: this form has made the sweep {made} already, and was changed since."
        )
    return made


def _is_other(made: Sweep, facts: Mapping[str, str], machine: Machine) -> bool:
    if any(getattr(made, field) != value for field, value in facts.items()):
        return True
    return made.merges.exclude(job__machine=machine).exists()


@dataclass(frozen=True)
class Result:
    """A merge of a sweep and the model that it made, if it has; ``loss`` is its score."""

    swept: Swept
    model: Artifact | None
    loss: float | None
    is_best: bool


def results(made: Sweep) -> Sequence[Result]:
    """The merges of a sweep by value, with what came of them."""
    rows = list(made.merges.select_related("job__machine", "score").order_by("value"))
    models, known = scoring.models_of([row.job_id for row in rows]), scoring.losses(rows)
    found = {row.pk: known[row.score_id] for row in rows if row.score_id in known}
    finite = [loss for loss in found.values() if math.isfinite(loss)]
    best = min(finite, default=None)
    return [
        Result(row, models.get(row.job_id), found.get(row.pk), found.get(row.pk, math.nan) == best)
        for row in rows
    ]
