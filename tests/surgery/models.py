"""Models of jobs for the tests of surgery, as far as the platform looks into them."""

import json
from pathlib import Path

from django.contrib.auth.models import User
from django.utils import timezone

from compute.machines.local import local_machine
from compute.models import Machine
from jobs.artifacts.keeping import keep_place
from jobs.models import Artifact, Job, Status
from tests import factories

CONFIG = {"model_type": "qwen2", "hidden_size": 8, "num_hidden_layers": 2, "vocab_size": 32}


def model(owner: User, folder: Path, machine: Machine | None = None, **config: object) -> Path:
    """A model folder that a job has made."""
    folder.mkdir(parents=True)
    folder.joinpath("config.json").write_text(json.dumps(CONFIG | config))
    job = factories.make_job(owner, name=f"made {folder.name}", status=Status.COMPLETED)
    return kept(job, folder, Artifact.Kind.HUGGINGFACE, machine)


def adapter(owner: User, folder: Path) -> Path:
    """An adapter that a job has made."""
    folder.mkdir(parents=True)
    folder.joinpath("adapter_config.json").write_text("{}")
    job = factories.make_job(owner, name=f"made {folder.name}", status=Status.COMPLETED)
    return kept(job, folder, Artifact.Kind.ADAPTER)


def checkpoint(job: Job, root: Path, step: int) -> Path:
    """A checkpoint that a run has saved."""
    folder = root / f"checkpoints/global_step_{step}"
    folder.joinpath("huggingface").mkdir(parents=True)
    folder.joinpath("huggingface/config.json").write_text(json.dumps(CONFIG))
    return kept(job, folder, Artifact.Kind.CHECKPOINT, step=step)


def kept(
    job: Job, folder: Path, kind: Artifact.Kind, machine: Machine | None = None, **facts: object
) -> Path:
    """The folder, with the rows that say that the job made it."""
    artifact = Artifact.objects.create(
        kind=kind, owner=job.owner, name=folder.name, job=job, attempt=1,
        made_at=timezone.now(), has_model=kind == Artifact.Kind.HUGGINGFACE, **facts,
    )  # fmt: skip
    keep_place(artifact, machine or local_machine(), str(folder))
    return folder


def artifact_at(folder: Path) -> Artifact:
    return Artifact.objects.get(places__path=str(folder))
