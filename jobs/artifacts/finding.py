"""Which artifact a path names that a job is to read: also through links, and before a listing."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath

from compute.models import Machine
from compute.runners.removing import UUID
from jobs import lifecycle
from jobs.artifacts.keeping import artifact_at, keep_promised
from jobs.models import Artifact, Job

OF_RUN = re.compile(rf"runs/({UUID})/attempt-([1-9][0-9]{{0,8}})/(.+)", re.DOTALL)


def artifact_named(path: str, machines: Mapping[int, Machine]) -> Artifact | None:
    """The artifact that a path names, or lies within, on any of these machines."""
    for written, where in ways(path, machines):
        if artifact := artifact_at(written, where) or _of_run(written, where):
            return artifact
    return None


def ways(path: str, machines: Mapping[int, Machine]) -> Iterator[tuple[str, Mapping[int, Machine]]]:
    """The path as it is written; then, on this machine, where its links lead. No database is
    asked."""
    yield path, machines
    local = next((each for each in machines.values() if each.is_local), None)
    if local is None or not path.startswith("/"):
        return
    with suppress(OSError, ValueError, RuntimeError):
        real, work = Path(path).resolve(), Path(local.workdir).resolve()
        yield str(real), {local.pk: local}
        if real.is_relative_to(work):  # whose own path may lead through links
            yield str(local.workdir / real.relative_to(work)), {local.pk: local}


def _of_run(path: str, machines: Mapping[int, Machine]) -> Artifact | None:
    """What lies in the folder of a run and was not listed yet; the run is listed soon."""
    for machine in machines.values():
        work = PurePosixPath(machine.workdir)
        inside = PurePosixPath(path)
        found = inside.is_relative_to(work) and OF_RUN.fullmatch(str(inside.relative_to(work)))
        if not found:
            continue
        run = Job.objects.filter(uuid=found[1], machine=machine, attempt__gte=int(found[2])).first()
        if run and (artifact := keep_promised(run, int(found[2]), found[3])):
            lifecycle.touch(run, listing_due=True)
            return artifact
    return None
