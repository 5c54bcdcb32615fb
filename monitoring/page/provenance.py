"""What a run was made of, as recorded when it started: its data, models, seeds and Python."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jobs.models import Job
from jobs.process import Command

SEED = "seed"
MOST = 50


@dataclass(frozen=True)
class Fact:
    """``digest`` is a SHA-256 in hex; empty where nobody computed one."""

    name: str
    value: str
    url: str = ""
    digest: str = ""


def provenance(job: Job) -> dict[str, Any]:
    return {"job": job, "made_of": [*_read(job), *_started(job)]}


def _read(job: Job) -> Iterator[Fact]:
    """The artifacts that it reads, in the order of their roles."""
    version = job.dataset_version
    if version is not None:
        url, digest = version.get_absolute_url(), version.sha256
        yield Fact("Data set version", version.label, url, digest)
    for reading in job.inputs.select_related("artifact__version__dataset")[:MOST]:
        artifact = reading.artifact
        if artifact is not None and (version is None or artifact.version_id != version.pk):
            role = str(reading.get_role_display())
            yield Fact(role, artifact.label, artifact.get_absolute_url(), artifact.digest)


def _started(job: Job) -> Iterator[Fact]:
    """What stands in the command that was started; nothing before the start."""
    if not job.command:
        return
    command = Command.from_json(job.command)
    yield Fact("Python", command.argv[0])
    for setting in command.settings:
        if setting.key.rpartition(".")[2].lower().endswith(SEED):
            yield Fact("Seed", setting.text)
