"""A job that trains on from what the job before it has saved."""

from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from compute.machines.local import local_machine
from compute.machines.runners import runner_for
from compute.runners import fetching
from compute.runners.base import Runner, RunnerError, Unreachable
from jobs import events, lifecycle
from jobs.artifacts import inputs
from jobs.artifacts.keeping import artifact_at, keep_made
from jobs.checkpoints import list_checkpoints
from jobs.files.telling import Telling
from jobs.kinds.base import MODEL, Product
from jobs.models import Artifact, Job
from jobs.verl.spec import Problem

LONGEST_INDEX = 16 << 20
# Where a job that leaves none is asked all the same: nothing is found there.
NO_MODEL = Product(MODEL, "checkpoints")
AWAITED = "/global_step_N/"


def awaited_model(before: Job) -> str:
    """Where the model will be. The step, N, is known when that job has completed."""
    return f"{before.run_dir}/{_model_of(before).path}"


def _model_of(before: Job) -> Product:
    """What the job makes that another can train on."""
    made = before.job_kind.makes(before.spec_of_kind)
    return next((product for product in made if product.sort == MODEL), NO_MODEL)


def problems(before: Job | None) -> Iterator[Problem]:
    """Why no job can train on from that job's checkpoint."""
    if before is None:
        yield Problem("after", "Choose the job whose checkpoint is to be trained on.")
        return
    if reason := before.job_kind.leaves_no_model(before.spec_of_kind):
        yield Problem("after_checkpoint", f"Job {before.pk} leaves no model: {reason}.")


def comes_round(before: Job | None, uuid: object) -> bool:
    """True when a job of this id would, at the end of a chain, wait for itself."""
    seen: set[int] = set()
    while before and before.pk not in seen:
        if before.uuid == uuid:
            return True
        seen.add(before.pk)
        before = before.after
    return False


def settle_model(job: Job) -> None:
    """Write the model that the job before has left into the spec of one that starts.

    Raises ``RunnerError`` when there is none.
    """
    awaited = job.inputs.awaited().select_related("source__machine").first()
    if awaited is None:
        return
    before = awaited.source
    if before is None:
        raise RunnerError("The job whose checkpoint it was to train on is gone.")
    kind, spec = job.job_kind, job.spec_of_kind
    if _is_awaited(kind.reads(spec).models.get(kind.base_model, ""), before):
        list_checkpoints(before)
        model = saved_model(before) if before.machine_id == job.machine_id else brought(job, before)
        inputs.settle(job, before, model)
        settled = kind.placed(spec, {kind.base_model: model})
        lifecycle.touch(job, spec=settled.to_json())
        lifecycle.record(job, events.MODEL_FOUND, message=model)


def _is_awaited(path: str, before: Job) -> bool:
    """Whether a path is where the model was expected, in whatever attempt it came."""
    runs = f"{before.machine.workdir}/runs/{before.uuid}/"
    is_expected = AWAITED in path or path.endswith(f"/{_model_of(before).path}")
    return path.startswith(runs) and is_expected


def brought(job: Job, before: Job) -> str:
    """The model that a job on another machine has left, on this one: from here it can be sent."""
    try:
        model = saved_model(before)
        if before.machine.is_local:
            return model
        target = fetched_folder(before) / _name_of(before, model)
        telling = Telling(job, f"the model of job {before.pk} from {before.machine}", "Bringing")
        fetching.fetch(runner_for(before.machine), model, target, telling)
        keep_brought(before, model, target)
    except Unreachable as error:  # this job's own machine is none of it
        raise RunnerError(
            f"The model of job {before.pk} is on {before.machine}, which is not reached: {error} "
            "Resume this job when it is."
        ) from error
    return str(target)


def keep_brought(before: Job, model: str, target: Path) -> None:
    """What was brought is a model of its own: the checkpoint around it stayed where it was."""
    checkpoint = artifact_at(model, {before.machine_id: before.machine})
    keep_made(
        before, Artifact.Kind.HUGGINGFACE, target.name, str(target), machine=local_machine(),
        attempt=checkpoint.attempt if checkpoint else None,
        step=checkpoint.step if checkpoint else None, has_model=True,
    )  # fmt: skip


def saved_model(before: Job) -> str:
    """The newest whole model of a job: of its last attempt that has one."""
    runner = runner_for(before.machine)
    below = _model_of(before).path.partition("/")[0]
    for attempt in range(before.attempt, 0, -1):
        folder = f"{before.machine.attempt_dir(before.uuid, attempt)}/{below}"
        found = _newest(before, runner, folder)
        if found is not None:
            return f"{folder}/{found}".rstrip("/")
    raise RunnerError(f"Job {before.pk} left no whole Hugging Face folder in its {below}.")


def fetched_folder(job: Job) -> Path:
    """Where what was brought here of a job is kept."""
    return Path(settings.TRAINYARD_HOME) / "fetched" / str(job.uuid)


def _name_of(before: Job, model: str) -> str:
    """``attempt-1-global_step_3-huggingface`` and its like."""
    below = model.removeprefix(f"{before.machine.workdir}/runs/{before.uuid}/")
    return "-".join(part for part in below.split("/") if part != "checkpoints")


def _newest(before: Job, runner: Runner, folder: str) -> str | None:
    def read(name: str) -> bytes:
        return runner.read(f"{folder}/{name}", 0, LONGEST_INDEX)

    return before.job_kind.newest_model(runner.files(folder), read)
