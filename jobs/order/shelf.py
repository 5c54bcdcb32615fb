"""The recipes as they are offered: those that can run here first, by kind and size; filters."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from math import inf

from django.contrib.auth.models import User

from compute.models import Machine
from jobs.kinds.registry import kind_of, registry
from jobs.places import places
from jobs.queue.claims import room_of
from jobs.queue.line.machine import never_fits
from jobs.queue.spreading import misspread
from jobs.recipebook.book import own_recipes
from jobs.verl.recipes import Recipe, all_recipes
from jobs.verl.releases import refusal
from jobs.verl.spec import TrainSpec

FILTERS = ("q", "kind", "size", "whose", "here")
WHOSE = {"own": "Your own", "trainyard": "Trainyard's"}
# By the parameters of the model, in billions.
SIZES: Mapping[str, tuple[str, float, float]] = {
    "tiny": ("Below 0.5 B", 0, 0.5),
    "small": ("0.5 B to 3 B", 0.5, 3),
    "middle": ("3 B to 14 B", 3, 14),
    "large": ("Above 14 B", 14, inf),
}
PARAMETERS = re.compile(r"(\d+(?:\.\d+)?) ([MB])\b")
KINDS = registry().with_recipes()


@dataclass(frozen=True)
class Offer:
    """A recipe, and whether a job of it can run on a machine here; None where nobody knows.

    ``where`` names the machine, or says why there is none.
    """

    recipe: Recipe
    is_own: bool
    runs: bool | None
    where: str

    @property
    def kind(self) -> str:
        return self.recipe.kind


@dataclass(frozen=True)
class Section:
    title: str
    groups: list[tuple[str, list[Offer]]]  # by the label of the kind; empty where there is one


class Ground:
    """The machines that a job may be sent to, this one first. Each is asked once."""

    def __init__(self) -> None:
        self.machines = sorted(Machine.objects.for_jobs(), key=lambda machine: not machine.is_local)
        self.rooms = {machine.pk: room_of(machine) for machine in self.machines}

    def judge(self, spec: TrainSpec) -> tuple[bool | None, str]:
        told: tuple[bool | None, str] | None = None
        for machine in self.machines:
            runs, why = self._on(machine, spec)
            if runs:
                return True, machine.name
            told = told or (runs, why)
        return told or (False, "No machine has a training environment: set one up first.")

    def _on(self, machine: Machine, spec: TrainSpec) -> tuple[bool | None, str]:
        kind, room = kind_of(spec), self.rooms[machine.pk]
        gpus = kind.devices(spec)
        why = (
            refusal(spec.kind, machine.verl, str(spec.values.get("device")))
            or never_fits(gpus, room, kind.one_node)
            or misspread(machine, spec)
        )
        if why:
            return False, why
        if gpus and room.gpus is None:
            return None, f"Whether it can run is not known: {machine} has told of no devices yet."
        return True, ""


def offers(user: User | None) -> list[Offer]:
    """All recipes that a user may start from: their own, then Trainyard's."""
    ground = Ground()
    own = own_recipes(user) if user else []
    known = {id(recipe) for recipe in own}
    found = []
    for recipe in (*own, *all_recipes().values()):
        runs, where = ground.judge(recipe.spec(places()))
        found.append(Offer(recipe, id(recipe) in known, runs, where))
    return found


def sections(found: Iterable[Offer]) -> list[Section]:
    """One's own, then what can run here, then the rest: by kind, and there by the model's size."""
    found = list(found)
    own = sorted((o for o in found if o.is_own), key=lambda o: (_rank(o), o.runs is not True))
    theirs = sorted((o for o in found if not o.is_own), key=lambda o: (_rank(o), *_span(o)))
    parts = {
        "Your recipes": own,
        "Trainyard's recipes that can run here": [o for o in theirs if o.runs],
        "Trainyard's other recipes": [o for o in theirs if not o.runs],
    }
    return [Section(title, _by_kind(part)) for title, part in parts.items() if part]


def _by_kind(found: list[Offer]) -> list[tuple[str, list[Offer]]]:
    """Without labels where each kind has one recipe: each says its kind itself."""
    groups = [(KINDS[kind], list(of)) for kind, of in groupby(found, lambda o: o.kind)]
    return groups if len(found) > len(groups) else [("", found)]


def _rank(offer: Offer) -> int:
    return list(KINDS).index(offer.kind)


def _span(offer: Offer) -> tuple[float, float]:
    return billions(offer.recipe.sizes) or (inf, inf)


def billions(sizes: str) -> tuple[float, float] | None:
    """The least and the most parameters that a text such as ``0.5 B to 8 B`` names."""
    named = [float(n) / (1000 if unit == "M" else 1) for n, unit in PARAMETERS.findall(sizes)]
    return (min(named), max(named)) if named else None


def filtered(found: Iterable[Offer], filters: Mapping[str, str]) -> Iterator[Offer]:
    """Those that fit all filters; an unknown value of a filter filters nothing."""
    kind, size, whose = filters.get("kind"), filters.get("size"), filters.get("whose")
    words = filters.get("q", "").casefold().split()
    for offer in found:
        if kind in KINDS and offer.kind != kind:
            continue
        if size in SIZES and not _has_size(offer, str(size)):
            continue
        if whose in WHOSE and offer.is_own is not (whose == "own"):
            continue
        if filters.get("here") and not offer.runs:
            continue
        if all(word in _text(offer.recipe) for word in words):
            yield offer


def _has_size(offer: Offer, size: str) -> bool:
    span, (_, low, high) = billions(offer.recipe.sizes), SIZES[size]
    return span is not None and span[0] < high and span[1] > low


def _text(recipe: Recipe) -> str:
    parts = (recipe.title, recipe.slug, recipe.purpose, recipe.sizes, recipe.kind_label)
    return " ".join(parts).casefold()
