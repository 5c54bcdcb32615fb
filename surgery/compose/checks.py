"""What can be known of a merge before its job is made: where its models lie, and whether they are
alike."""

import json
import posixpath
from collections.abc import Iterator, Sequence
from typing import Any

from django.contrib.auth.models import User

from compute.machines.local import local_machine
from compute.models import Machine
from jobs.artifacts.keeping import artifact_at
from jobs.models import Artifact, Place
from jobs.queue import claims
from platform_site.paths import inside
from surgery.kinds.merge import MergeSpec
from surgery.recipes.recipe import Recipe, read_recipe

LONGEST_CONFIG = 2**20  # bytes
ALIKE = ("model_type", "hidden_size", "num_hidden_layers", "vocab_size")


class SurgeryError(Exception):
    """A model cannot be made. The message is a sentence for the user."""


def check(text: str, machine: Machine, user: User) -> Recipe:
    """The recipe, if it can be worked on that machine for all that is known here.

    Raises ``SurgeryError``, and ``RecipeError`` for what is no recipe.
    """
    recipe = read_recipe(text)
    if not Machine.objects.for_jobs().filter(pk=machine.pk).exists():
        raise SurgeryError(f"{machine} takes no jobs. Choose another machine.")
    if reason := claims.misfit(machine, MergeSpec(text)):
        raise SurgeryError(reason)
    for path in recipe.read:
        _check_place(path, machine, user)
    if machine.pk == local_machine().pk:
        _check_alike(recipe.models if recipe.is_whole else recipe.models[:0])
    return recipe


def _check_place(path: str, machine: Machine, user: User) -> None:
    if not path.startswith("/"):
        raise SurgeryError(f"{path} is not a whole path: a model is a folder of {machine}, "
                           "and its path begins with /.")  # fmt: skip
    if path.startswith("//") or posixpath.normpath(path) != path:
        # Written another way, nobody would find whose model it is.
        raise SurgeryError(f"Write {path} as {posixpath.normpath(path).replace('//', '/')}.")
    here = artifact_at(path, {machine.pk: machine})
    if here is None and (elsewhere := _elsewhere(path, user)):
        raise SurgeryError(f"{path} lies on {elsewhere} and not on {machine}: choose {elsewhere}, "
                           f"or bring the model to {machine} first.")  # fmt: skip
    _check_owner(here, path, user)
    if machine.pk == local_machine().pk:
        real = _real(path, machine)
        _check_owner(artifact_at(real, {machine.pk: machine}), path, user)


def _check_owner(here: Artifact | None, path: str, user: User) -> None:
    """What somebody's job made is theirs; a folder that was brought is its machine's."""
    if here is None or here.job_id is None:
        return
    if not Artifact.objects.visible_to(user).filter(pk=here.pk).exists():
        raise SurgeryError(f"There is no model of yours at {path}.")


def _elsewhere(path: str, user: User) -> Machine | None:
    """Another machine where an artifact of the user's lies at this path."""
    mine = Artifact.objects.visible_to(user)
    place = Place.objects.there().filter(path=path, artifact__in=mine).select_related("machine")
    found = place.first()
    return found.machine if found else None


def _real(path: str, machine: Machine) -> str:
    """Where a model of this machine lies, links followed. Raises ``SurgeryError``."""
    try:
        folder = inside(path)
    except ValueError as error:
        raise SurgeryError(str(error)) from error
    if not (folder / "config.json").is_file():
        raise SurgeryError(f"There is no model at {path} on {machine}: it has no config.json.")
    return str(folder)


def _check_alike(paths: Sequence[str]) -> None:
    first: dict[str, Any] = {}
    for path in paths:
        config = _config(path)
        for name in ALIKE:
            if first and config.get(name) != first.get(name):
                raise SurgeryError(
                    f"The models differ in {name}: {paths[0]} has {first.get(name)!r}, "
                    f"{path} has {config.get(name)!r}."
                )
        first = first or config


def _config(path: str) -> dict[str, Any]:
    """The sizes that a model's configuration says. Raises ``SurgeryError``."""
    try:
        with (inside(path) / "config.json").open("rb") as file:
            data = json.loads(file.read(LONGEST_CONFIG))
    except (OSError, ValueError, RecursionError) as error:
        raise SurgeryError(f"The config.json of {path} cannot be read.") from error
    return dict(_sizes(data)) if isinstance(data, dict) else {}


def _sizes(data: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from ((name, data[name]) for name in ALIKE if name in data)
