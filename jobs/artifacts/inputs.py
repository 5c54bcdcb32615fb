"""Write down what a job reads, when it is submitted and when it starts."""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from compute.machines.local import local_machine
from compute.models import Machine
from datasets.models import Version
from jobs.artifacts.finding import artifact_named
from jobs.artifacts.keeping import artifact_at, keep_place
from jobs.models import Artifact, Job, JobInput
from jobs.verl.checkpoints import STEP_DIR

Role = JobInput.Role
MODELS = {
    "model_path": Role.MODEL,
    "critic_model": Role.CRITIC,
    "reward_model": Role.REWARD_MODEL,
}
# By the first word of an input's name.
INPUTS = {"model": Role.SOURCE, "base": Role.BASE, "adapter": Role.ADAPTER}
REWARD = "reward_file"


def keep_inputs(job: Job, source: Job | None = None) -> None:
    """Let the rows say what a job reads, in place of what they said before.

    ``source`` is the job whose newest model it begins with, which may be made only later.
    """
    found = dict[tuple[int, str], JobInput]()
    for role, artifact in _inputs(job, source):
        found[artifact.pk, role] = JobInput(job=job, artifact=artifact, role=role)
    rows = list(found.values())
    if source:
        rows.append(JobInput(job=job, source=source, role=Role.MODEL))
    with transaction.atomic():
        job.inputs.all().delete()
        JobInput.objects.bulk_create(rows)


def settle(job: Job, source: Job, path: str) -> None:
    """The model that was awaited of another job is there, at this path."""
    machines = _machines(job) | {source.machine_id: source.machine}
    with transaction.atomic():
        # Held as by whoever deletes: it is awaited, or read, and at no moment neither.
        list(Machine.objects.select_for_update().filter(pk__in=machines).order_by("pk"))
        if artifact := artifact_at(path, machines):
            job.inputs.awaited().filter(source=source).update(artifact=artifact)


def _inputs(job: Job, source: Job | None) -> Iterator[tuple[str, Artifact]]:
    reads = job.job_kind.reads(job.spec_of_kind)
    for version in _versions(job, reads.files.values()):
        yield Role.DATA, artifact_of(version)
    if path := reads.files.get(REWARD):
        yield Role.REWARD, _reward(job, Path(path))
    for name, path in reads.models.items():
        role = MODELS.get(name, Role.MODEL)
        if not (source and role == Role.MODEL):
            yield role, artifact_named(path, _machines(job)) or _brought(job, path)
    for name, path in reads.inputs.items():
        role = INPUTS.get(name.partition(" ")[0], Role.CHECKPOINT)
        known = artifact_named(path, {job.machine_id: job.machine})
        yield role, known or _brought_there(job, role, path)


def _machines(job: Job) -> dict[int, Machine]:
    """Where a path of a job may be: on its machine, or on this one, from which it is sent."""
    local = local_machine()
    return {job.machine_id: job.machine, local.pk: local}


def _versions(job: Job, files: Iterable[str]) -> Iterator[Version]:
    if job.dataset_version:
        yield job.dataset_version
    paths = [path for path in files if path]
    named = Q(train_file__in=paths) | Q(val_file__in=paths)
    others = Version.objects.exclude(train_file="").filter(named).select_related("dataset")
    yield from (version for version in others if version.pk != job.dataset_version_id)


def artifact_of(version: Version) -> Artifact:
    """The row of a data set's version, made when a job first reads it."""
    facts = {
        "kind": Artifact.Kind.DATASET, "name": version.label, "digest": version.sha256,
        "size": _size(version.train_file, version.val_file), "made_at": version.created_at,
    }  # fmt: skip
    artifact, is_new = Artifact.objects.get_or_create(version=version, defaults=facts)
    if is_new and version.train_file:
        keep_place(artifact, local_machine(), version.train_file)
    return artifact


def _size(*paths: str) -> int | None:
    try:
        return sum(Path(path).stat().st_size for path in set(paths) if path)
    except OSError:
        return None


def _reward(job: Job, path: Path) -> Artifact:
    """A file with other content is another artifact, though it has the same name."""
    digest, size = "", None
    with suppress(OSError), path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = path.stat().st_size
    artifact = _of_owner(job, Artifact.Kind.REWARD, str(path), digest, size)
    if digest:
        keep_place(artifact, local_machine(), str(path))
    return artifact


def _brought(job: Job, path: str) -> Artifact:
    """A model that no job here has made: a folder, or a name of the hub."""
    artifact = _of_owner(job, Artifact.Kind.HUGGINGFACE, path, "", None)
    if path.startswith("/") and Path(path).is_dir():
        keep_place(artifact, local_machine(), path)
    return artifact


def _brought_there(job: Job, role: Role, path: str) -> Artifact:
    """What lies on the job's machine already and no job here has made."""
    kind = Artifact.Kind.ADAPTER if role == Role.ADAPTER else Artifact.Kind.HUGGINGFACE
    if STEP_DIR.fullmatch(PurePosixPath(path).name):
        kind = Artifact.Kind.CHECKPOINT
    artifact = _of_owner(job, kind, path, "", None)
    if job.machine.is_local and Path(path).is_dir():
        keep_place(artifact, job.machine, path)
    return artifact


def _of_owner(job: Job, kind: Artifact.Kind, name: str, digest: str, size: int | None) -> Artifact:
    with transaction.atomic():
        known = Artifact.objects.filter(
            job=None, owner=job.owner_id, kind=kind, name=name, digest=digest
        )
        return known.first() or Artifact.objects.create(
            kind=kind, owner_id=job.owner_id, name=name, digest=digest, size=size,
            made_at=timezone.now(),
        )  # fmt: skip
