"""What a filter and a column of the list can name: facts of a job, its knobs, its metrics."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from jobs import measured
from jobs.kinds.registry import registry
from jobs.listing.language.vocabulary import (
    CHOICE,
    FLAG,
    NUMBER,
    SPAN,
    TEXT,
    TIME,
    Field,
    Vocabulary,
)
from jobs.listing.metrics import Metrics
from jobs.models import HELD, Priority, Status
from jobs.verl.better import is_best_higher
from jobs.verl.knobs import KNOBS, Knob


@dataclass(frozen=True)
class Known(Field):
    """``path`` is the way to it from a job, in the words of a query; ``label`` heads its column."""

    path: str = ""
    label: str = ""
    is_knob: bool = False


PRIORITIES: Mapping[str, int] = {label.lower(): value for value, label in Priority.choices}
KIND = "kind"
FACTS = (
    Known("name", TEXT, path="name"),
    Known("status", CHOICE, "how it stands", choices=(*Status.values, HELD), path="status"),
    Known("tag", TEXT, "any of its tags", path="tags__name"),
    Known("note", TEXT, path="note"),
    Known("pinned", FLAG, "whether you pinned it"),
    Known("sample", FLAG, path="is_sample"),
    Known("recipe", TEXT, path="recipe", label="Recipe"),
    Known("model", TEXT, "what it trains", path="spec__values__model_path", label="Model"),
    Known("data", TEXT, "the data set", path="dataset_version__dataset__name", label="Data set"),
    Known("machine", TEXT, path="machine__name", label="Machine"),
    Known("owner", TEXT, path="owner__username", label="Owner"),
    Known("verl", TEXT, "verl's release", path="spec__verl", label="verl"),
    Known("gpus", NUMBER, "GPUs that it takes", path="gpus", label="GPUs"),
    Known("step", NUMBER, "steps done", path="step", label="Step"),
    Known("steps", NUMBER, "steps promised", path="steps", label="Steps"),
    Known("attempt", NUMBER, path="attempt", label="Attempt"),
    Known("priority", CHOICE, choices=tuple(PRIORITIES), path="priority", label="Priority"),
    Known("reason", TEXT, "why it stands so", path="reason"),
    Known("duration", SPAN, "how long its attempt took", path="duration", label="Elapsed"),
    Known("created", TIME, path="created_at", label="Created"),
    Known("queued", TIME, path="queued_at", label="Queued"),
    Known("started", TIME, path="started_at", label="Started"),
    Known("ended", TIME, path="ended_at", label="Ended"),
    Known("id", NUMBER, "its number", path="pk", label="Number"),
)  # fmt: skip


@cache
def known_fields() -> Mapping[str, Known]:
    """All fields by name; a fact goes before a knob of the same name."""
    kinds = tuple(kind.slug for kind in registry().kinds.values())
    named = [Known(name, CHOICE, "the kind of job", choices=kinds, path="kind", label="Kind")
             for name in ("algorithm", KIND)]  # fmt: skip
    knobs = [_of_knob(knob) for knob in KNOBS]
    return {field.name: field for field in (*reversed(knobs), *reversed(FACTS), *reversed(named))}


def _of_knob(knob: Knob) -> Known:
    sorts = {int: NUMBER, float: NUMBER, bool: FLAG}
    return Known(
        knob.name,
        sorts.get(knob.type, TEXT),
        knob.label,
        path=f"spec__values__{knob.name}",
        label=knob.label,
        is_knob=True,
    )


def vocabulary(metrics: Metrics, names: Iterable[str] = ()) -> Vocabulary:
    """What a filter can speak of. ``names`` are the metrics that are proposed."""
    fields = dict(reversed(list(known_fields().items())))
    return Vocabulary(fields, lambda word: len(metrics.under(word)), proposed(names),
                      lambda word: why_not_best(word, metrics.under(word)))  # fmt: skip


def proposed(metrics: Iterable[str]) -> list[str]:
    """The metrics, and before those of validation the word that stands for all of them."""
    names = sorted(metrics)
    groups = dict.fromkeys(name.partition("/")[0] for name in names if name.startswith("val"))
    return [*groups, *names]


def why_not_best(word: str, names: Iterable[str]) -> str:
    if any(is_best_higher(name) is not None for name in names):
        return ""
    return f"Whether more of {word} is better, its name does not say: write low or high."


def figure_of(metric: str, figure: str) -> str:
    """Which of last, low and high a figure is; empty where a best one is not known."""
    if figure != "best":
        return figure
    higher = is_best_higher(metric)
    return "" if higher is None else measured.HIGH if higher else measured.LOW
