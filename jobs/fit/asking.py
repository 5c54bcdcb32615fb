"""What a command asks an estimate of: the settings of a job or a recipe, changed by hand."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.conf import settings

from compute.models import Machine
from compute.sizing.config_file import NAME, ConfigError
from compute.sizing.facts import ModelFacts, read_facts
from datasets.services import find_version
from jobs.fit.services import Cards, NotKnown, cards_of
from jobs.fit.sources import facts_of
from jobs.management.base import find_machine
from jobs.models import Job
from jobs.verl import schema
from jobs.verl.algorithms import algorithm_of
from jobs.verl.checks import check_overrides
from jobs.verl.knob import LARGEST, Knob
from jobs.verl.knobs import BY_NAME
from jobs.verl.sets import sorted_out
from jobs.verl.spec import TrainSpec, Value
from platform_site.bounded.calls import of_file
from platform_site.bounded.limits import TooMuch
from platform_site.commands import FieldError
from platform_site.counts import counted

TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def spec_of_job(job: Job) -> TrainSpec:
    """Raises ``FieldError`` for a job that trains nothing."""
    spec = job.spec_of_kind
    if not isinstance(spec, TrainSpec):
        raise FieldError("job", f"Job {job.pk} is of the kind {job.kind}, which trains nothing.")
    return spec


def with_sets(spec: TrainSpec, texts: Iterable[str]) -> TrainSpec:
    """A spec with each ``key=value`` set: a knob by its name or its Hydra key, or an override.

    Raises ``FieldError`` for what verl would refuse.
    """
    told, overrides = sorted_out(spec.kind, texts)
    values = {name: value_of(BY_NAME[name], text) for name, text in told.items()}
    changed = replace(
        spec, values={**spec.values, **values}, overrides=(*spec.overrides, *overrides)
    )
    known = schema.load(settings.TRAINYARD_VERL_SCHEMA, spec.kind, spec.verl)
    for problem in check_overrides(changed, known):
        raise FieldError("set", problem.message)
    return changed


def value_of(knob: Knob, text: str) -> Value:
    """Text as the knob's type; empty keeps verl's default. Raises ``FieldError``."""
    if text == "":
        return ""
    if knob.type is bool:
        return _flag(knob, text)
    if knob.type in (int, float):
        return _number(knob, text)
    if knob.choices and not set(text.split(",")) <= set(knob.choices):
        raise FieldError(knob.name, f"{text!r} is none of {', '.join(knob.choices)}.")
    return text


def _flag(knob: Knob, text: str) -> bool:
    word = text.strip().lower()
    if word not in TRUE + FALSE:
        raise FieldError(knob.name, f"{text!r}: write true or false.")
    return word in TRUE


def _number(knob: Knob, text: str) -> Value:
    try:
        value: Value = int(text) if knob.type is int else float(text)
    except ValueError:
        kind = "a whole number" if knob.type is int else "a number"
        raise FieldError(knob.name, f"{text!r}: write {kind}.") from None
    least = knob.minimum if knob.minimum is not None else -LARGEST
    most = knob.maximum if knob.maximum is not None else LARGEST
    if not least <= float(value) <= most:
        raise FieldError(knob.name, f"{text}: write a number from {least:,} to {most:,}.")
    return value


def with_data(spec: TrainSpec, text: str) -> TrainSpec:
    """Trained on a version of a data set, ``NAME`` or ``NAME@VERSION``. Raises ``FieldError``."""
    try:
        version = find_version(text, algorithm_of(spec.kind).target)
    except ValueError as error:
        raise FieldError("data", str(error)) from None
    files = {"train_files": version.train_file, "val_files": version.val_file}
    return TrainSpec(spec.kind, {**spec.values, **files}, spec.overrides, spec.verl)


def machine_of(options: Mapping[str, Any]) -> Machine | None:
    """The machine that ``--machine`` names, whose cards take the place of ``--gpu``.

    Raises ``FieldError``.
    """
    if not options["machine"]:
        return None
    if options["gpu"]:
        raise FieldError("machine", "Give --gpu or --machine, and not both: a machine has its own.")
    return find_machine(options["machine"])


def cards_there(machine: Machine) -> Cards:
    """The cards of a machine. Raises ``FieldError`` where they are not known."""
    try:
        return cards_of(machine)
    except NotKnown as error:
        raise FieldError(error.field, str(error)) from None


def check_room(machine: Machine, cards: Cards, gpus: int) -> None:
    """Raises ``FieldError`` for more GPUs than the machine has."""
    if gpus > cards.count:
        there = counted(cards.count, "GPU")
        raise FieldError("gpus", f"{machine} has {there}, and {gpus:,} are asked for.")


def model_of(text: str) -> ModelFacts:
    """The facts of a folder, a ``config.json``, a hub's name or a name of the catalogue.

    Raises ``FieldError``.
    """
    path = Path(text).expanduser()
    path = path / NAME if path.is_dir() else path
    try:
        return of_file(read_facts, path) if path.is_file() else facts_of(text, "model")
    except NotKnown as error:
        raise FieldError("model", str(error)) from None
    except (ConfigError, OSError, TooMuch) as error:
        raise FieldError("model", f"{text} describes no model: {error}") from None
