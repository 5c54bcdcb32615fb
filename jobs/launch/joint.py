"""A job on several machines together: how it lies on them, and the Ray that it needs there."""

import logging
from collections import Counter
from dataclasses import replace

from compute.machines.groups import members_of
from compute.machines.reachability import mark_unreachable
from compute.machines.runners import runner_for
from compute.models import Machine, Membership
from compute.runners.base import Launch, RunnerError, Unreachable
from compute.runners.ssh import group
from compute.runners.ssh.runner import SshRunner
from jobs import events, lifecycle
from jobs.files.shipping import check_models
from jobs.kinds.base import Spec
from jobs.models import Job
from jobs.process import Spread
from jobs.queue import claims
from jobs.queue.line.group import STRIDE
from jobs.queue.spreading import shown_spread
from jobs.starting import still_starting

log = logging.getLogger(__name__)
MEMORY = 200_000_000  # bytes
CPUS = 32  # logical ones for a run on the CPU; with too few, verl hangs and says nothing


def spread_of_job(job: Job, spec: Spec) -> Spread | None:
    """How the job lies on a Ray that is there before the run; None where verl starts its own."""
    if not job.machine.is_group:
        return shown_spread(job.machine, spec)
    counts = list(_counts(job, spec).values())
    return Spread(len(counts), counts[0]) if len(counts) > 1 else None


def _counts(job: Job, spec: Spec) -> dict[int, int]:
    """How many devices of each member a job takes, by the member's machine.

    Before the job has leases, the number of an empty group is taken. The ranks of a job on the CPU
    are spread over all members, if each then gets equally many.
    """
    members = [member.machine_id for member in members_of(job.machine)]
    if not job.gpus:
        ranks = job.job_kind.ranks(spec)
        even = members and not job.job_kind.one_node and ranks % len(members) == 0
        return {machine: ranks // len(members) for machine in members} if even else {}
    if leased := Counter(job.leases.values_list("machine", flat=True)):
        return dict(leased)
    room = claims.room_of(job.machine).all_free()
    found = room.devices_for(job.gpus, job.job_kind.one_node) or ()
    return dict(Counter(members[device // STRIDE] for device in found))


def bring_up(job: Job, launch: Launch) -> Launch:
    """Start the Ray of a job on several machines; a job on one machine stays as it is.

    Raises ``RunnerError`` and then leaves nothing behind.
    """
    if not job.machine.is_group or spread_of_job(job, job.spec_of_kind) is None:
        return launch
    parts = _parts(job, launch)
    for part in parts[1:]:
        try:
            check_models(job.spec_of_kind, parts[0].runner, part.runner)
        except Unreachable as error:
            error.at = part.name
            raise
        except RunnerError as error:
            raise RunnerError(f"{part.name}: {error}") from error
    found = group.bring_up(
        launch.attempt_dir, parts, told=lambda words: still_starting(job, reason=words)
    )
    names = ", ".join(part.name for part in parts)
    lifecycle.record(job, events.JOINED, message=f"Ray is up on {names}.")
    return replace(launch, secrets={**launch.secrets, **found})


def take_down(job: Job) -> None:
    """End the Ray of a job that is over. A part that does not answer ends when its head is gone."""
    if not job.machine.is_group or job.command is None:
        return
    parts = _parts(job, Launch(job.run_dir, (), {}))
    for problem in group.take_down(job.run_dir, parts):
        lifecycle.record(
            job,
            events.NOT_TAKEN_DOWN,
            message=f"{problem} It ends by itself when its head is gone.",
        )


def _parts(job: Job, launch: Launch) -> list[group.Part]:
    """The head, and the other members that the job lies on."""
    counts = _counts(job, job.spec_of_kind)
    members = members_of(job.machine)
    taking = [m for m in members if m.place == members[0].place or m.machine_id in counts]
    parts = []
    for member in taking:
        runner = runner_for(member.machine)
        if isinstance(runner, SshRunner):
            env = {**launch.env, **launch.secrets, **_devices(job, member)}
            gpus = counts.get(member.machine_id, 0)
            small = {} if job.gpus else {"cpus": CPUS, "memory": MEMORY}
            name, address = member.machine.name, member.inner_address
            parts.append(group.Part(name, runner, address, gpus, env, **small))
    return parts


def _devices(job: Job, member: Membership) -> dict[str, str]:
    leased = job.leases.filter(machine=member.machine_id).values_list("device", flat=True)
    if not job.gpus:
        return {}
    devices = ",".join(map(str, leased))
    return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": devices}


def missed(job: Job, error: Unreachable) -> None:
    """Mark the member that did not answer: the head, unless the error names another."""
    members: dict[str, Machine] = {m.machine.name: m.machine for m in members_of(job.machine)}
    mark_unreachable(members.get(error.at) or next(iter(members.values())), error)
