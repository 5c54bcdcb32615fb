"""Steps that make no job: they name models, choose among them, or let them pass."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from django.contrib.auth.models import User

from compute.machines.runners import runner_for
from compute.models import Machine
from compute.runners.base import RunnerError, RunnerUnsure, Unreachable
from evaluations.chains.models import Chain, Part
from evaluations.chains.outputs import (
    Model,
    NotYet,
    Refused,
    evaluated,
    job_behind,
    machine_of_paths,
    metrics_of,
    models_of,
    saved_by,
)
from evaluations.chains.parts import Parts
from evaluations.chains.planning import MOST_PARTS
from evaluations.gates.judging import Judged, NotComparable, beside, within
from evaluations.models import Evaluation, sides_of
from evaluations.steps.step import CHOOSE, FORMULA, GATE, MODELS, PARETO, Limit, Step, Wish
from jobs import measured
from jobs.models import Job
from jobs.verl.better import is_higher_better
from platform_site.paths import inside
from surgery.choice.candidate import Candidate, Choice
from surgery.choice.criteria import ChoiceError, by_formula, by_metric
from surgery.choice.formula import parse
from surgery.choice.pareto import by_pareto
from surgery.choosing.table import table_of
from surgery.making.checks import SurgeryError, check_places

BELOW = "/*"  # at the end of a path: each model in that folder
MOST_FILES = 50_000
CONFIG = "config.json"


@dataclass(frozen=True)
class Decided:
    """A model that a step passes on, or does not where it says a ``failure``."""

    model: Model
    said: str = ""
    failure: str = ""


def decide(step: Step, chain: Chain, parts: Parts) -> list[Decided]:
    """What comes of a step that decides. Raises ``Refused``."""
    return DECIDERS[step.verb](step, chain, parts)


def _named(step: Step, chain: Chain, parts: Parts) -> list[Decided]:
    """The models that lie at the paths, or below those that end with ``/*``."""
    found, machine = dict[str, None](), machine_of_paths(step, chain)
    for source in step.models:
        if source.path.endswith(BELOW):
            found |= dict.fromkeys(_below(source.path.removesuffix(BELOW), machine, chain.owner))
        else:
            found[source.path] = None
    return [Decided(Model(path, machine)) for path in found]


def _below(folder: str, machine: Machine, user: User) -> list[str]:
    """The folders with a model that lie in a folder of the machine. Raises ``Refused``."""
    names = _here(folder) if machine.is_local else _there(folder, machine)
    models = [f"{folder}/{name}" for name in sorted(names)]
    if not models:
        raise Refused(f"No folder in {folder} on {machine} has a config.json.")
    if len(models) > MOST_PARTS:
        raise Refused(f"{folder} has {len(models)} models; {MOST_PARTS} are the most of one step.")
    try:
        check_places(models, machine, user)
    except SurgeryError as error:
        raise Refused(str(error)) from error
    return models


def _here(folder: str) -> list[str]:
    """Links count as what they lead to. Raises ``Refused``."""
    try:
        return [each.name for each in inside(folder).iterdir() if (each / CONFIG).is_file()]
    except (OSError, ValueError) as error:
        raise Refused(f"{folder} cannot be listed: {error}") from error


def _there(folder: str, machine: Machine) -> list[str]:
    """Raises ``Refused``, and ``NotYet`` where the machine does not answer."""
    try:
        files = runner_for(machine).files(folder)
        paths = [PurePosixPath(file.path) for file in itertools.islice(files, MOST_FILES + 1)]
    except (Unreachable, RunnerUnsure) as error:
        raise NotYet(str(error)) from error
    except RunnerError as error:
        raise Refused(str(error)) from error
    if len(paths) > MOST_FILES:
        raise Refused(f"{folder} has more than {MOST_FILES} files: name its models one by one.")
    return [path.parent.name for path in paths if path.name == CONFIG and len(path.parts) == 2]


def _chosen(step: Step, chain: Chain, parts: Parts) -> list[Decided]:
    models, wish = _models(step, chain, parts), step.wish or Wish()
    if wish.checkpoints:
        return _of_checkpoints(models, wish)
    candidates = [
        Candidate(nr, model.label, nr, _metrics(model, step, parts, wish.names))
        for nr, model in enumerate(models)
    ]
    try:
        choice = _choice(candidates, wish, _side(models, step, parts))
    except ChoiceError as error:
        raise Refused(f"{error} {_what_is_known(models, step, parts)}".strip()) from error
    if choice.chosen is None:
        raise Refused(f"{choice.reason} {_what_is_known(models, step, parts)}".strip())
    best = [models[each.key] for each in choice.ranking[: wish.keep]]
    said = [choice.reason, *(f"Number {nr}." for nr in range(2, len(best) + 1))]
    return [
        Decided(model, f"{why}{_bounds(model, step, parts)}")
        for model, why in zip(best, said, strict=True)
    ]


def _of_checkpoints(models: Sequence[Model], wish: Wish) -> list[Decided]:
    """The best of all that the jobs of these models saved, by what their metrics were then."""
    jobs = {model.job.pk: (model.job, model) for model in models if model.job}
    for job, _ in jobs.values():
        saved_by(job)  # as its machine has them now
    table = table_of([job for job, _ in jobs.values()], wish.names)
    try:
        choice = _choice(table.candidates, wish, wish.higher)
    except ChoiceError as error:
        raise Refused(f"{error} {_logged(list(jobs))}".strip()) from error
    if choice.chosen is None:
        raise Refused(f"{choice.reason} {_logged(list(jobs))}".strip())
    rows = [table.row_of(each) for each in choice.ranking[: wish.keep]]
    said = [choice.reason, *(f"Number {nr}." for nr in range(2, len(rows) + 1))]
    return [
        Decided(Model(row.folder, row.job.machine, jobs[row.job.pk][1].part), f"{row.name}. {why}")
        for row, why in zip(rows, said, strict=True)
    ]


def _bounds(model: Model, step: Step, parts: Parts) -> str:
    """Between which bounds the metric of a model lies, where an evaluation told it; in a sentence
    after a space."""
    job = _scored(model.part, step, parts)
    row = Evaluation.objects.filter(job=job).defer("scores").first() if job else None
    metric = step.wish.metric if step.wish else ""
    bounds = row.intervals.get(metric) if row else None
    return f" In 95 % it lies between {bounds[0]:.4g} and {bounds[1]:.4g}." if bounds else ""


def _side(models: Sequence[Model], step: Step, parts: Parts) -> bool | None:
    """Whether more of the metric is better: as the recipe says, or else what evaluated. None leaves
    that to its name."""
    wish = step.wish or Wish()
    if wish.higher is not None:
        return wish.higher
    jobs = [job for model in models if (job := _scored(model.part, step, parts))]
    rows = Evaluation.objects.filter(job__in=jobs).defer("scores")
    return sides_of(*rows).get(wish.metric)


def _choice(candidates: Sequence[Candidate], wish: Wish, higher: bool | None) -> Choice:
    """Raises ``ChoiceError``."""
    if wish.by == FORMULA:
        return by_formula(candidates, parse(wish.formula), higher is not False)
    if wish.by == PARETO:
        known = is_higher_better(wish.metric) if higher is None else higher
        return by_pareto(candidates, wish.metric, wish.less, known is not False).choice
    return by_metric(candidates, wish.metric, higher)


def _passed(step: Step, chain: Chain, parts: Parts) -> list[Decided]:
    """Each model as the gate found it. All of them must pass."""
    limit = step.limit or Limit()
    return [_through(model, step, limit, parts) for model in _models(step, chain, parts)]


def _through(model: Model, step: Step, limit: Limit, parts: Parts) -> Decided:
    """Raises ``Refused`` where it cannot be found out."""
    found = list[Judged]()
    if limit.at_least is not None or limit.at_most is not None:
        value = _metrics(model, step, parts, [limit.metric]).get(limit.metric)
        if value is None:
            known = _what_is_known([model], step, parts)
            lacks = "has no value at its step" if _is_by_step(model, step) else "never came"
            raise Refused(f"{limit.metric} of {model.label} {lacks}. {known}".strip())
        found.append(within(f"{limit.metric} of {model.label}", value, limit))
    if limit.other:
        found.append(_compared(model, step, limit, parts))
    failure = next((each.failure for each in found if each.failure), "")
    return Decided(model, "" if failure else " ".join(each.said for each in found), failure)


def _compared(model: Model, step: Step, limit: Limit, parts: Parts) -> Judged:
    """Raises ``Refused``."""
    others = [part for part in parts.get(limit.other, ()) if part.is_done]
    if len(others) != 1:
        raise Refused(f"It compares with one model {limit.other}, and there are {len(others)}.")
    own, other = (_scored(each, step, parts) for each in (model.part, others[0]))
    if own is None or other is None:
        lacks = model.label if own is None else str(others[0])
        raise Refused(f"There is no evaluation of {lacks} in the step {step.scores}.")
    try:
        return beside(own, other, limit)
    except NotComparable as error:
        raise Refused(str(error)) from error


def _models(step: Step, chain: Chain, parts: Parts) -> list[Model]:
    found = [model for source in step.models for model in models_of(source, step, parts, chain)]
    if not found:
        raise Refused("There is no model to decide about.")
    return found


def _scored(part: Part | None, step: Step, parts: Parts) -> Job | None:
    """The job whose metrics speak for the model of a part."""
    if part is None:
        return None
    if not step.scores:
        return job_behind(part)
    evaluation = evaluated(part, parts.get(step.scores, ()))
    return evaluation.job if evaluation else None


def _metrics(model: Model, step: Step, parts: Parts, names: Sequence[str]) -> dict[str, float]:
    job = _scored(model.part, step, parts)
    if job is None:
        return {}
    return _at_checkpoint(model, job, names) if _is_by_step(model, step) else metrics_of(job, names)


def _is_by_step(model: Model, step: Step) -> bool:
    """Whether what its job logged last says nothing of it: it is a checkpoint that was chosen."""
    return model.is_chosen and not step.scores


def _at_checkpoint(model: Model, job: Job, names: Sequence[str]) -> dict[str, float]:
    """What these metrics were at the step of a checkpoint."""
    rows = [row for row in table_of([job], names).rows if row.folder == model.path]
    found = {name: row.candidate.known(name) for row in rows for name in names}
    return {name: value for name, value in found.items() if value is not None}


def _what_is_known(models: Sequence[Model], step: Step, parts: Parts) -> str:
    """A sentence on the metrics that there are instead."""
    jobs = [job.pk for model in models if (job := _scored(model.part, step, parts))]
    return _logged(jobs)


def _logged(jobs: Sequence[int]) -> str:
    if not jobs:
        return "There is no job that could have logged it."
    names = measured.names_of(jobs, 30)
    return f"Logged were: {', '.join(names)}." if names else "Nothing was logged."


Decider = Callable[[Step, Chain, Parts], list[Decided]]
DECIDERS: Mapping[str, Decider] = {MODELS: _named, CHOOSE: _chosen, GATE: _passed}
