"""Keep what an evaluation found: from the files of its run, on whatever machine, to a row."""

import logging
import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from django.db import InterfaceError, OperationalError, transaction

from compute.machines.runners import runner_for
from compute.runners.base import Runner, RunnerError
from evaluations.kinds.evaluate import RESULT, SCORES, EvaluateSpec
from evaluations.models import Evaluation
from evaluations.statistics.figures import OF_LOSS, PERPLEXITY, figures_of
from evaluations.statistics.resampling import Interval
from evaluations.statistics.scores import Scores, packed
from evaluations.written.lines import ScoreLines
from evaluations.written.result import LARGEST, NotReadable, Result, read_result
from jobs import measured
from jobs.models import Artifact, Job, JobInput, Status
from jobs.verl.better import is_higher_better

log = logging.getLogger(__name__)
PIECE = 1 << 20
LONGEST_SERIES = 200  # characters of a series' name
LARGEST_SCORES = 256 << 20  # bytes that are read of a file of scores
MOST_LOSS = 300.0  # whose exponential is a number yet
Role = JobInput.Role
# Of what a job read, the model that it evaluated; where an adapter lies on it, that one.
SUBJECTS = (Role.CHECKPOINT, Role.MODEL, Role.SOURCE)


def keep(job: Job) -> Evaluation | None:
    """Let the row of an evaluation say what its run found; the same twice is the same.

    None where the job has not completed. What cannot be read is kept with the reason, so that
    nobody reads it again and again. Raises ``RunnerError`` where its machine does not answer.
    """
    if job.status != Status.COMPLETED:
        return None
    spec: EvaluateSpec = job.spec_of_kind
    try:
        fields = _found_by(job, spec)
        # A row whose run has no figures would never be told again: both are written, or neither.
        with transaction.atomic():
            kept = _write(job, spec, fields)
            tell_run(kept)
    except NotReadable as error:
        return _write(job, spec, {"fault": str(error)})
    except (RunnerError, OperationalError, InterfaceError):
        raise  # another try may end otherwise
    except Exception as error:
        log.exception("The result of evaluation %s cannot be kept.", job.pk)
        why = f"What the evaluation found cannot be kept: {type(error).__name__}."
        return _write(job, spec, {"fault": why})
    return kept


def _found_by(job: Job, spec: EvaluateSpec) -> dict[str, Any]:
    """What the run of an evaluation wrote. Raises ``NotReadable``, and ``RunnerError``."""
    runner = runner_for(job.machine)
    result = read_result(_read(runner, f"{job.run_dir}/{RESULT}", LARGEST))
    scores, sentences = _scores_of(runner, f"{job.run_dir}/{SCORES}")
    return _found(result, scores, spec.way) | {
        "set_name": set_name(job, spec) or result.set_name,
        "left_out": [*result.left_out, *sentences],
        "scores": packed(scores) if len(scores) else None,
    }  # fmt: skip


def set_name(job: Job, spec: EvaluateSpec) -> str:
    """What was asked, where it is a version of a data set: files of two versions have one name."""
    version = job.dataset_version
    if version is None:
        return ""
    part = "" if version.val_file in spec.files else ", training part"
    first = f", first {spec.limit}" if spec.limit else ""
    return f"{version.label[: 200 - len(part) - len(first)]}{part}{first}"


def _found(result: Result, scores: Scores, way: str) -> dict[str, Any]:
    told = {
        name: each
        for name, each in figures_of(scores, way).items()
        if all(map(math.isfinite, (each.value, each.low, each.high)))  # JSON has no other numbers
    }
    return {
        "set_digest": result.set_digest,
        "evaluator_digest": result.evaluator_digest,
        "evaluator": dict(result.evaluator),
        "metrics": {name: each.value for name, each in told.items()} | dict(result.metrics),
        "higher_is_better": dict(result.higher_is_better),
        "intervals": _bounds(told),
        "counts": dict(result.counts),
        "seconds": dict(result.seconds),
        "prompts": result.counts.get("prompts", len(scores)) if not len(scores) else len(scores),
        "samples": scores.samples,
        "fault": "",
    }


def _bounds(told: Mapping[str, Interval]) -> dict[str, list[float]]:
    """Those of each figure; of the perplexity they are the exponentials of those of the loss."""
    found = {name: [each.low, each.high] for name, each in told.items()}
    if loss := told.get(OF_LOSS):
        found[PERPLEXITY] = [math.exp(min(each, MOST_LOSS)) for each in (loss.low, loss.high)]
    return found


def _write(job: Job, spec: EvaluateSpec, fields: dict[str, Any]) -> Evaluation:
    artifact = subject_of(job, spec)
    run, step = _of(spec, artifact)
    told = {"artifact": artifact, "of_job": run, "of_step": step, "model": spec.model[:1000],
            "adapter": spec.adapter[:1000], "way": spec.way[:20]}  # fmt: skip
    found, _ = Evaluation.objects.update_or_create(job=job, defaults=told | fields)
    return found


def subject_of(job: Job, spec: EvaluateSpec) -> Artifact | None:
    """The artifact that a job evaluates, as far as its rows name one. With an adapter it is that of
    the adapter, or none: what it lies on is another model."""
    roles = (Role.ADAPTER,) if spec.adapter else SUBJECTS
    read = {each.role: each.artifact for each in job.inputs.select_related("artifact")}
    return next((read[role] for role in roles if read.get(role)), None)


def _of(spec: EvaluateSpec, artifact: Artifact | None) -> tuple[Job | None, int | None]:
    """The run and the step whose checkpoint it is: as its order says, or else its artifact. With an
    adapter on it, it is no more what its run made."""
    if spec.adapter:
        return None, None
    if spec.of_job is not None:
        return Job.objects.filter(pk=spec.of_job).first(), spec.of_step
    if artifact and artifact.kind == Artifact.Kind.CHECKPOINT:
        return artifact.job, artifact.step
    return None, spec.of_step


def _read(runner: Runner, path: str, most: int) -> bytes:
    """At most one byte more than ``most``. Raises ``NotReadable`` where there is no such file."""
    found = bytearray()
    for piece in _pieces(runner, path, most + 1):
        found += piece
    if not found:
        raise NotReadable(f"There is no {RESULT} in the run directory.")
    return bytes(found)


def _pieces(runner: Runner, path: str, most: int) -> Iterator[bytes]:
    at = 0
    while at < most:
        piece = runner.read(path, at, min(PIECE, most - at))
        if not piece:
            return
        yield piece
        at += len(piece)


def _scores_of(runner: Runner, path: str) -> tuple[Scores, list[str]]:
    """The scores, and sentences on what was left out of them."""
    lines, size = ScoreLines(), 0
    for piece in _pieces(runner, path, LARGEST_SCORES):
        lines.feed(piece)
        size += len(piece)
    scores, told = lines.scores(), []
    if lines.broken:
        told.append(f"Lines of scores that cannot be read: {lines.broken}.")
    if lines.beyond or size >= LARGEST_SCORES:
        told.append(f"The scores are too many: those after prompt {len(scores)} are not kept.")
    return scores, told


def tell_run(evaluation: Evaluation) -> None:
    """Let the run whose checkpoint was evaluated have the figures in its series, at its step."""
    run, step = evaluation.of_job, evaluation.of_step
    if run is None or step is None or evaluation.fault:
        return
    measured.note(run, step, {series_name(evaluation, name): value
                              for name, value in evaluation.metrics.items()})  # fmt: skip


def series_name(evaluation: Evaluation, figure: str) -> str:
    """``eval/<set>:<digests>/<figure>``: what is asked of other prompts, or by another evaluator,
    has a series of its own, also where both sets have one name. Where the figure's name would
    mislead, ``/lower`` or ``/higher`` behind it says which side is better."""
    short, side = figure.removeprefix("eval/"), _side(evaluation, figure)
    name = "_".join(evaluation.set_name.split())[:80] or "set"
    group = "-".join(digest[:6] for digest in evaluation.group if digest)
    of_set = f"{name}:{group}" if group else name
    return f"{f'eval/{of_set}/{short}'[: LONGEST_SERIES - len(side)]}{side}"


def _side(evaluation: Evaluation, figure: str) -> str:
    said = evaluation.is_higher_better(figure)
    if said is None or said == is_higher_better(figure):
        return ""
    return "/higher" if said else "/lower"


def kept(job: Job) -> Evaluation | None:
    """What is kept of one."""
    return Evaluation.objects.listed().filter(job=job).first()


def scores_of(artifacts: Collection[int]) -> dict[int, dict[str, float]]:
    """The figures of these artifacts by the names of their series, the newest of each."""
    rows = Evaluation.objects.readable().listed().filter(artifact__in=artifacts)
    found = dict[int, dict[str, float]]()
    for each in rows.order_by("kept_at", "pk"):
        told = {series_name(each, name): value for name, value in each.metrics.items()}
        found.setdefault(each.artifact_id or 0, {}).update(told)
    return found
