"""What a run on another machine needs from this one: its data, its reward function."""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from compute.runners.base import Runner, RunnerError
from jobs.models import Job
from jobs.starting import still_starting
from jobs.verl.model_dir import HUB_NAME
from jobs.verl.spec import Problem, TrainSpec

SENT = ("train_files", "val_files", "reward_file")
MODELS = ("model_path", "critic_model", "reward_model")
TELL_EVERY = 1.0  # seconds between two words on how far it is


def shipped(job: Job, runner: Runner) -> TrainSpec:
    """The job's spec with paths of its machine, after sending there what it reads.

    A file goes once, whatever jobs read it. Models are not sent: they are looked for there. Raises
    ``RunnerError``.
    """
    spec = job.train_spec
    if job.machine.is_local:
        return spec
    check_models(spec, runner)
    sent = {name: send(job, runner, Path(path)) for name, path in _files(spec)}
    return replace(spec, values={**spec.values, **sent})


def _files(spec: TrainSpec) -> Iterator[tuple[str, str]]:
    return ((name, str(spec.values[name])) for name in SENT if spec.values.get(name))


def check_models(spec: TrainSpec, runner: Runner) -> None:
    """Folders of models that the machine must have. A hub name is left to its cache."""
    for name in MODELS:
        path = str(spec.values.get(name) or "")
        if not path or HUB_NAME.fullmatch(path):
            continue
        if not runner.exists(str(PurePosixPath(path) / "config.json")):
            raise RunnerError(f"The machine has no model at {path}: there is no config.json in it.")


def model_problems(spec: TrainSpec) -> Iterator[Problem]:
    """What is wrong with the models of a run elsewhere, as far as that can be known from here."""
    for name in MODELS:
        path = str(spec.values.get(name) or "")
        whole = path.startswith("/") and ".." not in PurePosixPath(path).parts
        if path and not whole and not HUB_NAME.fullmatch(path):
            what = f"{path} is neither a whole path on that machine, which begins with /, nor a"
            yield Problem(name, f"{what} model's hub name.")


def send(job: Job, runner: Runner, path: Path) -> str:
    """The path on the machine of a file of ours; the job's page says how far it is."""
    telling = Telling(job, path.name)
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RunnerError(f"{path} cannot be read: {error.strerror}") from error
    return runner.put(path, digest, telling)


class Telling:
    """Keeps how far a file is where the job's page shows it; a stopped job is sent no further."""

    def __init__(self, job: Job, name: str) -> None:
        self.job, self.name, self.next = job, name, 0.0

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() < self.next or not total:
            return
        self.next = time.monotonic() + TELL_EVERY
        words = f"Sending {self.name}: {100 * done // total} % of {total / 1e6:.0f} MB."
        still_starting(self.job, reason=words)
