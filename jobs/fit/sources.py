"""What an estimate is made from: the model's config, the machine's cards, the data's lengths."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from compute.machines.devices import devices_of
from compute.models import Machine
from compute.sizing.config_file import NAME, ConfigError
from compute.sizing.facts import ModelFacts, read_facts
from compute.sizing.gpus import Gpu, UnknownGpu, find
from compute.sizing.models import find_model
from datasets.models import Version
from jobs.files.model_folders import model_folder
from jobs.verl.model_dir import HUB_NAME
from jobs.verl.spec import TrainSpec
from platform_site.bounded.calls import of_file
from platform_site.bounded.limits import TooMuch


class NotKnown(Exception):
    """Something that an estimate needs is not known. The message is a sentence for the user, and
    ``field`` the knob, ``gpu`` or ``machine`` that it is about."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class Cards:
    """The cards of a machine: their kind, how many each node has, and the host's memory in
    bytes (None where nobody measured it)."""

    gpu: Gpu
    per_node: int
    count: int
    host_memory: int | None = None


def facts_of(name: str, field: str = "model_path") -> ModelFacts:
    """The facts of a model: a folder of this machine, a hub's name in its cache, or one of the
    catalogue, by the hub's name or its own.

    Raises ``NotKnown``.
    """
    if not name:
        raise NotKnown("No model is named yet.", field)
    try:
        folder = model_folder(name)
    except (OSError, ValueError):
        folder = None
    if folder is None or not (folder / NAME).is_file():
        if known := find_model(name):
            return known.facts
        where = "in this machine's Hugging Face cache" if HUB_NAME.fullmatch(name) else "here"
        raise NotKnown(f"{name} is not {where}: its config.json tells its size.", field)
    try:
        return of_file(read_facts, folder / NAME)
    except (ConfigError, OSError, TooMuch) as error:
        raise NotKnown(f"The config.json of {name} tells no size: {error}", field) from None


def cards_of(machine: Machine) -> Cards:
    """The cards of a machine, which are of one kind. Raises ``NotKnown``."""
    devices = devices_of(machine)
    if devices is None or not devices.count:
        raise NotKnown(f"{machine} has no GPU that is known.", "machine")
    names = list(dict.fromkeys(kind.name for kind in devices.kinds if kind.name))
    if not names:
        raise NotKnown(f"Nobody has looked which cards {machine} has: check it.", "machine")
    if len(names) > 1:
        raise NotKnown(
            f"{machine} has {' and '.join(names)}: which of them a job gets is not known before.",
            "machine",
        )
    try:
        gpu = find(names[0])
    except UnknownGpu as error:
        raise NotKnown(str(error), "machine") from None
    told = [kind.memory_total for kind in devices.kinds if kind.memory_total]
    if told:
        gpu = replace(gpu, memory=min(told))
    return Cards(gpu, min(devices.per_node), devices.count, _host_memory(machine))


def _host_memory(machine: Machine) -> int | None:
    """As the newest sample of its load says, else as its check does."""
    sample = machine.samples.first()
    told: Any = sample.data.get("memory_total") if sample else None
    if told is None:
        parts: Mapping[str, Any] = machine.facts.get("parts", {})
        memory = parts.get("memory") or {}
        told = (memory.get("data") or {}).get("total") if isinstance(memory, dict) else None
    return int(told) if isinstance(told, int | float) and told > 0 else None


def version_of(spec: TrainSpec) -> Version | None:
    """The version of a data set to which both files belong, if there is one."""
    files = {
        "train_file": spec.values.get("train_files"),
        "val_file": spec.values.get("val_files"),
    }
    return Version.objects.ready().filter(**files).first() if all(files.values()) else None
