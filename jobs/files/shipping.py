"""What a run on another machine needs from this one: its data, its reward function, its models."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from compute.models import Machine
from compute.runners.base import Runner, RunnerError
from jobs.files.digests import digest_of
from jobs.files.model_folders import files_of, own_model, pieces_of
from jobs.files.models_there import lack_of
from jobs.files.parents import AWAITED
from jobs.files.telling import Telling
from jobs.kinds.base import Spec
from jobs.kinds.registry import kind_of
from jobs.models import Job
from jobs.verl.model_dir import HUB_NAME
from jobs.verl.spec import Problem
from platform_site.counts import counted, size_text


def shipped(job: Job, runner: Runner) -> Spec:
    """The job's spec with paths of its machine, after sending there what it reads.

    A file goes once, whatever jobs read it. A model goes only where the machine has none at its
    path. Raises ``RunnerError``.
    """
    spec, kind = job.spec_of_kind, job.job_kind
    if job.machine.is_local:
        return spec  # type: ignore[no-any-return]
    files = kind.reads(spec).files
    models = {name: model_there(job, runner, path) for name, path in _models(spec)}
    sent = {name: send(job, runner, Path(path)) for name, path in files.items()}
    return kind.placed(spec, models | sent)  # type: ignore[no-any-return]


def _models(spec: Spec) -> Iterator[tuple[str, str]]:
    """Those that are folders. A hub name is left to the machine's cache."""
    for name, path in kind_of(spec).reads(spec).models.items():
        if not HUB_NAME.fullmatch(path):
            yield name, path


def model_there(job: Job, runner: Runner, path: str) -> str:
    """The path on the machine of a model: as it is where it is there, else after it was sent."""
    lack = lack_of(runner, path)
    if not lack:
        return path
    try:
        folder = own_model(path)
    except ValueError as error:
        raise RunnerError(
            f"The machine has no model at {path}: {lack}. There is none to send from here either: "
            f"{error}."
        ) from None
    pieces = pieces_of(folder, Telling(job, f"model {folder.name}", "Reading"))
    return runner.put_folder(folder, pieces, Telling(job, f"model {folder.name}"))


def check_models(spec: Spec, head: Runner, other: Runner) -> None:
    """What a run takes from a path of its head must be at that path of its other machines too.

    What was sent lies in the work folder, which they share. Raises ``RunnerError``.
    """
    for _, path in _models(spec):
        if not lack_of(head, path) and (lack := lack_of(other, path)):
            raise RunnerError(
                f"It has no model at {path}, where the first machine has one: {lack}."
            )


def model_notes(spec: Spec, machine: Machine) -> Iterator[str]:
    """What would be sent before a run elsewhere starts. The machine is not asked, so it is said
    as what happens where it has no such folder."""
    if machine.is_local:
        return
    for _, path in _models(spec):
        if AWAITED in path:
            continue
        try:
            files = files_of(own_model(path))
        except (OSError, ValueError):
            yield f"{path} is looked for on {machine} only: there is no such model here to send."
            continue
        size = sum(size for _, _, size in files)
        yield (
            f"Where {machine} has no {path}, this one is sent before the start: "
            f"{size_text(size)} in {counted(len(files), 'file')}, of which what is there is "
            "not sent again."
        )


def model_problems(spec: Spec) -> Iterator[Problem]:
    """What is wrong with the models of a run elsewhere, as far as that can be known from here."""
    for name, path in kind_of(spec).reads(spec).models.items():
        whole = path.startswith("/") and ".." not in PurePosixPath(path).parts
        if not whole and not HUB_NAME.fullmatch(path):
            what = f"{path} is neither a whole path on that machine, which begins with /, nor a"
            yield Problem(name, f"{what} model's hub name.")


def send(job: Job, runner: Runner, path: Path) -> str:
    """The path on the machine of a file of ours; the job's page says how far it is."""
    telling = Telling(job, path.name)
    return runner.put(path, digest_of(path), telling)
