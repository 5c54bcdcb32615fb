"""What parts left for the steps that follow, and whose scores are whose."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from django.utils import timezone

from compute.models import Machine
from compute.runners.base import RunnerError, RunnerUnsure, Unreachable
from evaluations.chains.models import LONGEST_LABEL, Chain, Part
from evaluations.models import Evaluation
from evaluations.steps.step import EVALUATE, Source, Step
from jobs import measured
from jobs.artifacts.keeping import called
from jobs.artifacts.story import Saved, known_of
from jobs.checkpoints import list_checkpoints
from jobs.files.parents import saved_model
from jobs.models import Job, Status


@dataclass(frozen=True)
class Model:
    """A model that a step may work on. ``part`` left it, or nobody did: it was there before."""

    path: str
    machine: Machine
    part: Part | None = None

    @property
    def job(self) -> Job | None:
        """The job that made it, where one of the chain did."""
        return job_behind(self.part) if self.part else None

    @property
    def is_newest(self) -> bool:
        """Whether it is the newest model of its job, and not a checkpoint that was chosen."""
        made = maker(self.part) if self.part else None
        return made is not None and PurePosixPath(made.path).is_relative_to(self.path)

    @property
    def is_chosen(self) -> bool:
        """Whether it is a checkpoint that was chosen among those of its job."""
        return self.part is not None and self.part.chain.recipe.passes_checkpoint(self.part.step)

    @property
    def label(self) -> str:
        return str(self.part) if self.part else called(self.path, self.machine)


def labels_of(models: Sequence[Model]) -> list[str]:
    """What each is called: by its whole path, or its end, where two would be called the same."""
    labels = [model.label for model in models]
    return [
        model.path[-LONGEST_LABEL:] if labels.count(label) > 1 else label[:LONGEST_LABEL]
        for model, label in zip(models, labels, strict=True)
    ]


class NotYet(Exception):
    """What a part left cannot be asked for now. The message is a sentence."""


class Refused(Exception):
    """A step cannot be done. The message is a sentence, or several."""


def settle(part: Part, step: Step) -> bool:
    """Note that a part whose job completed is done, and where its model lies; false where it is
    not, or was. Raises ``NotYet`` while its machine does not answer."""
    if part.is_done or part.job is None or part.job.status != Status.COMPLETED:
        return False
    path = ""
    if part.job.machine.unreachable_since is not None:
        raise NotYet(f"{part.job.machine} does not answer, and is asked again when it does.")
    if step.verb == EVALUATE:
        if fault := _fault(part.job):
            part.fail(f"job {part.job.pk} told nothing that can be read: {fault}")
            return False
    else:
        try:
            path = model_of(part.job)
        except (Unreachable, RunnerUnsure) as error:
            raise NotYet(f"{part.job.machine} is asked again: {error}") from error
        except RunnerError as error:
            part.fail(str(error))
            return False
    part.path, part.machine, part.done_at = path, part.job.machine, timezone.now()
    part.save(update_fields=["path", "machine", "done_at"])
    return True


def _fault(job: Job) -> str:
    """Why an evaluation found nothing; empty where it did. Raises ``NotYet`` while nobody has read
    it."""
    row = Evaluation.objects.filter(job=job).only("fault").first()
    if row is None:
        raise NotYet(f"What job {job.pk} found is being read.")
    return row.fault


def model_of(job: Job) -> str:
    """Where the newest model of a job lies: a Hugging Face folder, or a checkpoint of verl.

    Raises ``RunnerError`` where there is neither.
    """
    try:
        return saved_model(job)
    except (Unreachable, RunnerUnsure):
        raise
    except RunnerError:
        list_checkpoints(job)
        whole = [each.folder for each in known_of(job) if each.artifact.is_whole]
        if not whole:
            raise
        return whole[0]


def saved_by(run: Job) -> list[Saved]:
    """The whole checkpoints of a run, newest first. Raises ``Refused``, and ``NotYet`` where its
    machine does not answer."""
    try:
        list_checkpoints(run)
    except (Unreachable, RunnerUnsure) as error:
        raise NotYet(f"{run.machine} is asked again: {error}") from error
    except RunnerError as error:
        raise Refused(str(error)) from error
    return [each for each in known_of(run) if each.artifact.is_whole]


def maker(part: Part) -> Part | None:
    """The part whose job made a model; one that decided passes on what it was given."""
    if part.asked is not None:
        return part
    before = part.of.first()
    return maker(before) if before else None


def job_behind(part: Part) -> Job | None:
    """The job that made the model of a part."""
    made = maker(part)
    return made.job if made else None


def machine_of_paths(step: Step, chain: Chain) -> Machine:
    """Where the models lie that a step names by their paths: on the machine that it names."""
    found = Machine.objects.filter(name=step.machine).first() if step.machine else None
    return found or chain.machine


def models_of(
    source: Source, step: Step, parts: Mapping[str, Sequence[Part]], chain: Chain
) -> list[Model]:
    """The models that a source of a step names, of steps that are done."""
    if source.path:
        return [Model(source.path, machine_of_paths(step, chain))]
    own = parts.get(source.step, ())
    return [left_by(part) for part in own if part.is_done and not part.is_lost]


def left_by(part: Part) -> Model:
    """The model that a part which is done has left."""
    return Model(part.path, part.machine or part.chain.machine, part)


def evaluated(model: Part, evaluations: Sequence[Part]) -> Part | None:
    """The evaluation of the model of a part. What decided about a model passed it on: its scores
    are those of the part that it came from, unless it passed on another checkpoint."""
    of = {each.pk: evaluation for evaluation in evaluations for each in evaluation.of.all()}
    line: list[Part] = [model]
    while line:
        part = line.pop(0)
        if part.pk in of:
            return of[part.pk]
        if part.asked is None:
            line += [each for each in part.of.all() if part.has_model_of(each)]
    return None


def metrics_of(job: Job, names: Sequence[str]) -> dict[str, float]:
    """The last values of these metrics of a job, or what it found where it evaluated. What it did
    not log, or is no number, is left out."""
    row = Evaluation.objects.filter(job=job).defer("scores").first()
    if row is not None:
        return {name: row.metrics[name] for name in names if name in row.metrics}
    found = measured.figures_of_all([job.pk], names)
    lasts = {name: found[name][job.pk].last for name in found if job.pk in found[name]}
    return {name: value for name, value in lasts.items() if value is not None}
