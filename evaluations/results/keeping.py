"""Keep what an evaluation found: from the files of its run, on whatever machine, to a row."""

from collections.abc import Collection, Iterator
from typing import Any

from compute.machines.runners import runner_for
from compute.runners.base import Runner
from evaluations.kinds.evaluate import RESULT, SCORES, EvaluateSpec
from evaluations.models import Evaluation
from evaluations.statistics.figures import figures_of
from evaluations.statistics.scores import Scores, packed
from evaluations.written.lines import ScoreLines
from evaluations.written.result import LARGEST, NotReadable, Result, read_result
from jobs import measured
from jobs.models import Artifact, Job, JobInput, Status

PIECE = 1 << 20
LARGEST_SCORES = 256 << 20  # bytes that are read of a file of scores
Role = JobInput.Role
# Of what a job read, the model that it evaluated: an adapter is more so than what it lies on.
SUBJECTS = (Role.ADAPTER, Role.CHECKPOINT, Role.MODEL, Role.SOURCE)


def keep(job: Job) -> Evaluation | None:
    """Let the row of an evaluation say what its run found; the same twice is the same.

    None where the job has not completed. What cannot be read is kept with the reason, so that
    nobody reads it again and again. Raises ``RunnerError`` where its machine does not answer.
    """
    if job.status != Status.COMPLETED:
        return None
    spec: EvaluateSpec = job.spec_of_kind
    runner = runner_for(job.machine)
    try:
        result = read_result(_read(runner, f"{job.run_dir}/{RESULT}", LARGEST))
    except NotReadable as error:
        return _write(job, spec, {"fault": str(error)})
    scores, sentences = _scores_of(runner, f"{job.run_dir}/{SCORES}")
    kept = _write(job, spec, _found(result, scores, spec.way) | {
        "left_out": [*result.left_out, *sentences],
        "scores": packed(scores) if len(scores) else None,
    })  # fmt: skip
    tell_run(kept)
    return kept


def _found(result: Result, scores: Scores, way: str) -> dict[str, Any]:
    told = figures_of(scores, way)
    return {
        "set_name": result.set_name,
        "set_digest": result.set_digest,
        "evaluator_digest": result.evaluator_digest,
        "evaluator": dict(result.evaluator),
        "metrics": {name: each.value for name, each in told.items()} | dict(result.metrics),
        "intervals": {name: [each.low, each.high] for name, each in told.items()},
        "counts": dict(result.counts),
        "seconds": dict(result.seconds),
        "prompts": result.counts.get("prompts", len(scores)) if not len(scores) else len(scores),
        "samples": scores.samples,
        "fault": "",
    }


def _write(job: Job, spec: EvaluateSpec, fields: dict[str, Any]) -> Evaluation:
    artifact = subject_of(job)
    run, step = _of(spec, artifact)
    told = {"artifact": artifact, "of_job": run, "of_step": step, "model": spec.model[:1000],
            "way": spec.way[:20]}  # fmt: skip
    found, _ = Evaluation.objects.update_or_create(job=job, defaults=told | fields)
    return found


def subject_of(job: Job) -> Artifact | None:
    """The artifact that a job evaluates, as far as its rows name one."""
    read = {each.role: each.artifact for each in job.inputs.select_related("artifact")}
    return next((read[role] for role in SUBJECTS if read.get(role)), None)


def _of(spec: EvaluateSpec, artifact: Artifact | None) -> tuple[Job | None, int | None]:
    """The run and the step whose checkpoint it is: as its order says, or else its artifact."""
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
    """``eval/<set>/<figure>``: of two sets of prompts, each has a series of its own."""
    short = figure.removeprefix("eval/")
    name = evaluation.set_name or evaluation.set_digest[:8] or "set"
    return f"eval/{'_'.join(name.split())[:80]}/{short}"


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
