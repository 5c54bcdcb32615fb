"""All recipes that a user may start from: Trainyard's own, saved ones, and jobs.

The slug tells them apart: ``my-…`` is a saved recipe, ``job-<number>`` the values of a job, any
other slug a file in ``jobs/recipes``.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils.text import slugify

from jobs.kinds.base import Spec
from jobs.kinds.registry import kind_of, registry
from jobs.models import Job, SavedRecipe
from jobs.places import is_of_samples
from jobs.verl.knobs import BY_NAME
from jobs.verl.recipes import Recipe, all_recipes
from jobs.verl.spec import TrainSpec
from jobs.warning import FieldWarning

OWN = "my-"
OF_JOB = re.compile(r"job-(\d{1,18})")


def find_recipe(slug: str, user: User) -> Recipe | None:
    """The recipe with this slug, if this user may use it."""
    if slug.startswith(OWN):
        saved = SavedRecipe.objects.filter(owner=user, slug=slug).first()
        return as_recipe(saved) if saved and has_recipes(saved.kind) else None
    if found := OF_JOB.fullmatch(slug):
        job = Job.objects.visible_to(user).filter(pk=int(found[1])).first()
        return _of_values(job) if job and has_recipes(job.kind) else None
    return all_recipes().get(slug)


def own_recipes(user: User) -> list[Recipe]:
    """Newest first: another title leaves a recipe where it stands."""
    saved = SavedRecipe.objects.filter(owner=user).order_by("-pk")
    return [as_recipe(one) for one in saved if has_recipes(one.kind)]


def reads_samples(spec: Spec) -> bool:
    """Whether all that a job reads came with Trainyard to try things out. With a model, data or a
    reward function of somebody's own it is no sample any more, whatever recipe it began with."""
    reads = kind_of(spec).reads(spec)
    named = [*reads.files.values(), *reads.models.values()]
    return all(is_of_samples(path) for path in named)


def has_recipes(kind: str) -> bool:
    """Whether jobs of a kind can be made from recipes. One that is not installed has none."""
    return registry().find(kind).has_recipes


def every_recipe(user: User) -> dict[str, Recipe]:
    """The user's own recipes, then Trainyard's, by slug."""
    own = {recipe.slug: recipe for recipe in own_recipes(user)}
    return own | dict(all_recipes())


def as_recipe(saved: SavedRecipe) -> Recipe:
    """A saved recipe as any other; values without a knob of today are left out, by name."""
    spec, left_out = known_part(saved.spec_of_kind)
    tips = (f"Left out, since {registry().find(spec.kind).label} has no such setting: {left_out}.",)
    recipe = _recipe(
        spec,
        slug=saved.slug,
        title=saved.title,
        purpose=saved.purpose,
        tips=tips if left_out else (),
        is_sample=saved.is_sample,
    )
    return _like(all_recipes().get(saved.base), recipe)


def _like(base: Recipe | None, recipe: Recipe) -> Recipe:
    """A recipe with what the one of Trainyard's that it comes from says of models and values."""
    if base is None or base.kind != recipe.kind:
        return recipe
    return replace(recipe, data=base.data, sizes=base.sizes, ranges=base.ranges)


def cloned_from(job: Job, user: User) -> tuple[Recipe, Recipe]:
    """For a copy of a job: the recipe it is based on, and that recipe with the job's values."""
    base = find_recipe(job.recipe, user)
    if base is None or base.kind != job.kind:
        base = _of_values(job)
    spec, _ = known_part(job.spec_of_kind)
    filled = _recipe(spec, slug=base.slug, title=copy_name(job.name), is_sample=base.is_sample)
    return base, filled


def warnings_of(job: Job) -> Sequence[FieldWarning]:
    """What is unusual in the settings of a job, by its recipe or in general."""
    recipe = find_recipe(job.recipe, job.owner)
    ranges = recipe.ranges if recipe and recipe.kind == job.kind else {}
    return job.job_kind.warnings(job.spec_of_kind, ranges)


def copy_name(name: str) -> str:
    """The name of a copy, within a name's length: ``run``, ``run copy``, ``run copy 2``, …"""
    found = re.fullmatch(r"(.*) copy(?: (\d{1,6}))?", name)
    if not found:
        return f"{name[:190]} copy"
    return f"{found[1][:180]} copy {int(found[2] or 1) + 1}"


def known_part(spec: TrainSpec) -> tuple[TrainSpec, str]:
    """The spec with the knobs that its kind still has, and the other values as text."""
    known = {name: value for name, value in spec.values.items() if has_knob(spec.kind, name)}
    gone = ", ".join(f"{n} = {v}" for n, v in spec.values.items() if n not in known)
    return TrainSpec(spec.kind, known, spec.overrides), gone


def has_knob(kind: str, name: str) -> bool:
    """Whether a kind of run still has a knob of this name."""
    return name in BY_NAME and kind in BY_NAME[name].keys


def save_recipe(owner: User, job: Job, title: str, purpose: str = "") -> SavedRecipe:
    """Save a job's values as a recipe of the user."""
    return keep_recipe(
        title,
        owner=owner,
        purpose=purpose,
        kind=job.kind,
        spec=job.spec,
        is_sample=job.is_sample,
        base=job.recipe,
        job=job,
    )


def keep_recipe(title: str, **fields: Any) -> SavedRecipe:
    """Save a recipe under a slug that no other recipe has."""
    try:
        with transaction.atomic():
            return SavedRecipe.objects.create(title=title, slug=_free_slug(title), **fields)
    except IntegrityError:  # another recipe took that slug meanwhile
        return SavedRecipe.objects.create(title=title, slug=_free_slug(title), **fields)


def rename_recipe(saved: SavedRecipe, title: str) -> None:
    """Another title; the name by which addresses and commands know it stays."""
    saved.title = title
    saved.save(update_fields=["title"])


def delete_recipe(saved: SavedRecipe) -> None:
    saved.delete()


def _of_values(job: Job) -> Recipe:
    """A job's values as the recipe of its copies."""
    spec, _ = known_part(job.spec_of_kind)
    recipe = _recipe(
        spec,
        slug=f"job-{job.pk}",
        title=job.name,
        purpose=f"The settings of job {job.pk}.",
        is_sample=job.is_sample,
    )
    return _like(all_recipes().get(job.recipe), recipe)


def _recipe(
    spec: TrainSpec,
    *,
    slug: str,
    title: str,
    purpose: str = "",
    tips: tuple[str, ...] = (),
    is_sample: bool = False,
) -> Recipe:
    # Recipe.spec replaces folder names in braces, so a brace of the user's own is doubled.
    values = {
        name: value.replace("{", "{{").replace("}", "}}") if isinstance(value, str) else value
        for name, value in spec.values.items()
    }
    return Recipe(
        slug=slug,
        kind=spec.kind,
        title=title,
        purpose=purpose,
        needs="",
        tips=tips,
        is_sample=is_sample,
        values=values,
        overrides=spec.overrides,
    )


def _free_slug(title: str) -> str:
    """A slug that no user's recipe has: a page's address identifies a recipe by its slug."""
    first = f"{OWN}{slugify(title)[:80] or 'recipe'}"
    taken = set(SavedRecipe.objects.filter(slug__startswith=first).values_list("slug", flat=True))
    number, slug = 1, first
    while slug in taken:
        number += 1
        slug = f"{first}-{number}"
    return slug
