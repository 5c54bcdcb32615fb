"""One look at the runs of a machine: what reads their files, what acts there, and its clock."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from compute.machines.runners import runner_for
from compute.models import Machine
from compute.runners import rundir
from compute.runners.ahead import ReadAhead, Reader
from compute.runners.base import Runner, RunnerError, RunnerUnsure, Stretch, Unreachable
from jobs.models import Job
from monitoring.models import Cursor
from monitoring.watch.ingest import FILES

FIRST = 1 << 16  # bytes of each file that come with the first round trip
SMALL = 200  # bytes that a file of one number may have


@dataclass(frozen=True)
class Look:
    """``now`` is the machine's own clock: heartbeats are compared with it, not with ours."""

    runner: Runner
    reader: Reader
    now: float

    def small_file(self, job: Job, name: str) -> str | None:
        return read_small(self.reader, job, name)

    def verdict_now(self, job: Job) -> int | None:
        """The exit code by a read of its own, whatever was read before."""
        return rundir.read_exit_code(read_small(self.runner, job, rundir.EXIT_CODE))


def read_small(reader: Reader, job: Job, name: str) -> str | None:
    """The text of a small file. What a run put in its place, and is no file, counts as none."""
    try:
        data = reader.read(f"{job.run_dir}/{name}", 0, SMALL)
    except (Unreachable, RunnerUnsure):
        raise
    except RunnerError:
        return None
    return data.decode("ascii", "replace") if data else None


def look_at(machine: Machine, jobs: Iterable[Job]) -> Look:
    """Fetch what is new of these jobs, in one round trip for all. Raises ``RunnerError``."""
    runner = runner_for(machine)
    now = runner.now()
    if machine.is_local:
        return Look(runner, runner, now)
    return Look(runner, ReadAhead(runner, list(_stretches(jobs))), now)


def _stretches(jobs: Iterable[Job]) -> Iterator[Stretch]:
    """The verdict of each job first: what was written before it is then in the other files."""
    offsets = _offsets(jobs)
    for job in jobs:
        yield Stretch(f"{job.run_dir}/{rundir.EXIT_CODE}", 0, SMALL)
        for name in FILES:
            at = offsets.get((job.pk, job.attempt, name), 0)
            yield Stretch(f"{job.run_dir}/{name}", at, FIRST)
        yield Stretch(f"{job.run_dir}/{rundir.HEARTBEAT}", 0, SMALL)


def _offsets(jobs: Iterable[Job]) -> dict[tuple[int, int, str], int]:
    rows = Cursor.objects.filter(job__in=[job.pk for job in jobs])
    return {(c.job_id, c.attempt, c.file): c.offset for c in rows}
