"""Keep what an attempt was made with: what Trainyard knows at its start, and what the run tells."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils import timezone

from compute.runners.node import node_digest
from jobs.models import Job, Provenance
from jobs.provenance.trainyard import itself
from jobs.recipebook.book import find_recipe

Part = Provenance.Part


def keep(job: Job, part: str, at: datetime, data: Mapping[str, Any]) -> None:
    """What is told of a part once more takes the place of what was told before."""
    Provenance.objects.update_or_create(
        job=job, attempt=job.attempt, part=part, defaults={"at": at, "data": data}
    )


def keep_start(job: Job) -> None:
    """What Trainyard itself starts an attempt with: its version and commit, the node package that
    it has, and the recipe as it is now."""
    data = {**itself(), "node": node_digest(), "recipe": _recipe(job)}
    keep(job, Part.PLATFORM, timezone.now(), data)


def _recipe(job: Job) -> dict[str, Any]:
    """``digest`` is over the recipe's values: one that was changed meanwhile has another."""
    recipe = find_recipe(job.recipe, job.owner) if job.recipe else None
    if recipe is None:
        return {"slug": job.recipe, "title": "", "digest": ""}
    said = [recipe.kind, dict(recipe.values), list(recipe.overrides)]
    text = json.dumps(said, sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return {"slug": recipe.slug, "title": recipe.title, "digest": digest}
