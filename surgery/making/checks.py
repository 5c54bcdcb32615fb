"""What can be known of models before a job is made of them: where they lie, whose they are, and
whether they are alike."""

import json
import posixpath
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User

from compute.machines.local import local_machine
from compute.models import Machine
from jobs.artifacts.keeping import artifacts_at
from jobs.artifacts.readable import unreadable
from jobs.kinds.base import Spec
from jobs.launch.submit import NotSubmitted
from jobs.models import Artifact, Place
from jobs.queue import claims
from platform_site.paths import inside
from surgery.kinds.steps import step_in
from surgery.making.offered import LONGEST_PATH

LONGEST_CONFIG = 2**20  # bytes
VOCABULARY = "vocab_size"
ALIKE = ("model_type", "hidden_size", "num_hidden_layers", VOCABULARY)
# Where a model's folder has its configuration, and a checkpoint of SFT and of RL.
CONFIGS = ("config.json", "huggingface/config.json", "actor/huggingface/config.json")
ADAPTER_CONFIGS = ("adapter_config.json", "lora_adapter/adapter_config.json")


class SurgeryError(NotSubmitted):
    """A model cannot be made."""


def check_machine(machine: Machine, spec: Spec) -> None:
    """Raises ``SurgeryError`` where the machine does not take the job."""
    if not Machine.objects.for_jobs().filter(pk=machine.pk).exists():
        raise SurgeryError(f"{machine} takes no jobs. Choose another machine.")
    if reason := claims.misfit(machine, spec):
        raise SurgeryError(reason)


def check_places(paths: Collection[str], machine: Machine, user: User) -> None:
    """Raises ``SurgeryError`` where one of these models cannot be read on the machine."""
    for path in _checked(paths, machine, user):
        if not _has(path, CONFIGS):
            raise SurgeryError(f"There is no model at {path} on {machine}: it has no config.json.")


def check_adapters(paths: Collection[str], machine: Machine, user: User) -> None:
    """Raises ``SurgeryError`` where one of these adapters cannot be read on the machine."""
    for path in _checked(paths, machine, user):
        if not _has(path, ADAPTER_CONFIGS):
            raise SurgeryError(
                f"There is no adapter at {path} on {machine}: it has no adapter_config.json."
            )


def check_alike(paths: Sequence[str], machine: Machine, names: Sequence[str] = ALIKE) -> None:
    """Raises ``SurgeryError`` where models of this machine differ in what must be the same."""
    if machine.pk != local_machine().pk:
        return
    first: dict[str, Any] = {}
    for path in paths:
        config = config_of(path)
        for name in names:
            if first and config.get(name) != first.get(name):
                raise SurgeryError(
                    f"The models differ in {name}: {paths[0]} has {first.get(name)!r}, "
                    f"{path} has {config.get(name)!r}."
                )
        first = first or config


def config_of(path: str) -> dict[str, Any]:
    """The sizes that a model's configuration on this machine says. Raises ``SurgeryError``."""
    try:
        found = [inside(f"{path}/{name}") for name in CONFIGS]
        file = next((each for each in found if each.is_file()), found[0])
        with file.open("rb") as opened:
            data = json.loads(opened.read(LONGEST_CONFIG))
    except (OSError, ValueError, RecursionError) as error:
        raise SurgeryError(f"The config.json of {path} cannot be read.") from error
    return dict(_sizes(data)) if isinstance(data, dict) else {}


def _checked(paths: Collection[str], machine: Machine, user: User) -> Collection[str]:
    """Those of the folders whose files can be looked at: all, on this machine. Raises
    ``SurgeryError`` where a path names no folder of the user's there."""
    for path in paths:
        _check_written(path, machine)
    known = artifacts_at(paths, {machine.pk: machine})
    for path, other in _elsewhere([path for path in paths if path not in known], user).items():
        raise SurgeryError(f"{path} lies on {other} and not on {machine}: choose {other}, or "
                           f"bring the model to {machine} first.")  # fmt: skip
    for reason in unreadable(paths, {machine.pk: machine}, user).values():
        raise SurgeryError(reason)
    return paths if machine.pk == local_machine().pk else ()


def _check_written(path: str, machine: Machine) -> None:
    if len(path) > LONGEST_PATH:
        raise SurgeryError(f"A path has at most {LONGEST_PATH} characters, and {path[:60]}… has "
                           f"{len(path)}.")  # fmt: skip
    if not path.startswith("/"):
        raise SurgeryError(f"{path} is not a whole path: a model is a folder of {machine}, "
                           "and its path begins with /.")  # fmt: skip
    if path.startswith("//") or posixpath.normpath(path) != path:
        # Written another way, nobody would find whose model it is.
        raise SurgeryError(f"Write {path} as {posixpath.normpath(path).replace('//', '/')}.")


def _elsewhere(paths: Collection[str], user: User) -> dict[str, Machine]:
    """Where, of what is not on the machine, artifacts of the user's lie at these paths."""
    mine = Artifact.objects.visible_to(user)
    places = Place.objects.there().filter(path__in=paths, artifact__in=mine)
    return {place.path: place.machine for place in places.select_related("machine")}


def _real(path: str) -> Path:
    """Where a folder of this machine lies, links followed. Raises ``SurgeryError``."""
    try:
        return inside(path)
    except ValueError as error:
        raise SurgeryError(str(error)) from error


def _has(path: str, names: Sequence[str]) -> bool:
    """Whether a folder of this machine has one of these files. A checkpoint needs just to be there:
    the node's program says which of its files lack."""
    folder = _real(path)
    if step_in(path) is not None and names is CONFIGS:
        return folder.is_dir()
    return any((folder / name).is_file() for name in names)


def _sizes(data: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from ((name, data[name]) for name in ALIKE if name in data)
