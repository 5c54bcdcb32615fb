"""The checkpoints of an average in their order, with what is known of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User
from django.utils import timezone

from compute.models import Machine
from jobs import measured
from jobs.models import Artifact, Place
from jobs.verl.better import is_higher_better
from surgery.kinds.steps import step_in
from surgery.making.forms import Wrong


@dataclass(frozen=True)
class Part:
    """One folder of an average: its step, and the job that made it, where they are known."""

    path: str
    place: int  # a later one has a greater one
    step: int | None = None
    job: int | None = None

    @property
    def label(self) -> str:
        return self.path if self.step is None else f"step {self.step}, {self.path}"


def in_order(
    chosen: Sequence[str], typed: Sequence[str], machine: Machine, user: User
) -> list[Part]:
    """By their steps where each has one of its own. Otherwise those that were chosen of a list are
    in the order in which they were made, and those that were typed follow as they were typed."""
    paths = list(dict.fromkeys([*chosen, *typed]))
    artifacts = _artifacts(paths, machine, user)
    steps = {path: _step(path, artifacts.get(path)) for path in paths}
    jobs = {path: artifact.job_id for path, artifact in artifacts.items()}
    known = {step: path for path, step in steps.items() if step is not None}
    if len(known) == len(paths):
        return [Part(path, step, step, jobs.get(path)) for step, path in sorted(known.items())]
    listed = sorted(paths[: len(set(chosen))], key=lambda path: _made(artifacts.get(path)))
    ordered = [*listed, *paths[len(listed) :]]
    return [Part(path, nr, steps[path], jobs.get(path)) for nr, path in enumerate(ordered, 1)]


def weights_of(parts: Sequence[Part], metric: str) -> list[float]:
    """The metric at the step of each, where weights can be made of it. Raises ``Wrong``."""
    values = values_of(parts, metric)
    if any(value <= 0 for value in values):
        raise Wrong("metric", f"{metric} is not above 0 at each of the steps, so no weights can be "
                    "made of it.")  # fmt: skip
    return values


def values_of(parts: Sequence[Part], metric: str) -> list[float]:
    """The metric at the step of each. Raises ``Wrong``."""
    steps: dict[int, set[int]] = {}
    for part in parts:
        if part.job is None or part.step is None:
            raise Wrong("metric", f"{part.path} is no checkpoint of a run that is known here, so "
                        "it has no metrics.")  # fmt: skip
        steps.setdefault(part.job, set()).add(part.step)
    found = measured.at_steps(steps, {metric})
    values = [found.get(part.job or 0, {}).get(part.step or 0, {}).get(metric) for part in parts]
    lacking = [str(part.step) for part, value in zip(parts, values, strict=True) if value is None]
    if lacking:
        raise Wrong("metric", f"{metric} was not logged at step {', '.join(lacking)}.")
    if any(not abs(value) < 1e9 for value in values if value is not None):
        raise Wrong("metric", f"{metric} is no number below 1e9 at each of the steps.")
    return [value for value in values if value is not None]


def is_higher(metric: str, said: str) -> bool:
    """Whether a greater value is better. Raises ``Wrong`` where nobody says."""
    known = is_higher_better(metric) if not said else said == "higher"
    if known is None:
        raise Wrong("better", f"The name {metric} does not say whether higher is better: choose.")
    return known


def _artifacts(paths: Sequence[str], machine: Machine, user: User) -> dict[str, Artifact]:
    mine = Artifact.objects.visible_to(user)
    places = Place.objects.there().filter(path__in=paths, machine=machine, artifact__in=mine)
    return {place.path: place.artifact for place in places.select_related("artifact")}


def _step(path: str, artifact: Artifact | None) -> int | None:
    return artifact.step if artifact and artifact.step is not None else step_in(path)


def _made(artifact: Artifact | None) -> tuple[datetime, int]:
    """When it was made, as far as that is known; of one moment, the first that was listed first."""
    if artifact is None:
        return timezone.now(), 0
    return artifact.made_at or timezone.now(), artifact.pk
