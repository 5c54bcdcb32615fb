"""The line of a machine as the database has it, and the claim of its next job.

A worker claims a job in one transaction: the job gets leases of its devices and begins to start.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from django.db.models import Prefetch, Q
from django.utils import timezone

from compute.machines.devices import devices_of
from compute.machines.groups import members_of
from compute.models import Machine, Membership
from jobs import lifecycle
from jobs.kinds.base import Spec
from jobs.kinds.registry import kind_of
from jobs.models import Job, JobInput, JobQuerySet, Lease, Rehearsal, Status
from jobs.queue.line.group import STRIDE, GroupRoom
from jobs.queue.line.machine import Room, Waiting, never_fits, next_start, turn
from jobs.queue.rental import too_short
from jobs.queue.spreading import misspread

NOT_HELD: dict[str, Any] = {"held_at": None, "held_by": "", "held_why": ""}
ENDS = {Status.FAILED: "failed", Status.STOPPED: "was stopped", Status.LOST: "was lost"}


def misfit(machine: Machine, spec: Spec) -> str:
    """Why a run can never start on a machine; empty when it can, or when nothing is known."""
    kind = kind_of(spec)
    reason = never_fits(kind.devices(spec), room_of(machine), kind.one_node)
    return reason or misspread(machine, spec)


def locked(machine_id: int, *others: int) -> Machine:
    """The machine, whose queue nobody else can change until the end of the transaction.

    A group is locked with its members, whose devices its jobs lease; ``others`` are locked as well.
    They are locked in one order, so that no two transactions wait for each other. PostgreSQL needs
    this lock; on SQLite the IMMEDIATE transaction does the same.
    """
    named = [machine_id, *others]
    members = Membership.objects.filter(group__in=named).values("machine")
    wanted = Q(pk__in=named) | Q(pk__in=members)
    rows = Machine.objects.select_for_update().filter(wanted)
    return {machine.pk: machine for machine in rows.order_by("pk")}[machine_id]


def room_of(machine: Machine) -> Room:
    if machine.is_group:
        return GroupRoom.of([room_of(member.machine) for member in members_of(machine)])
    devices = devices_of(machine)
    return Room(
        gpus=None if devices is None else devices.indices,
        leased=frozenset(Lease.objects.filter(machine=machine).values_list("device", flat=True)),
        slots=machine.slots,
        # A group's job on the CPU takes a slot of every member.
        busy=Job.objects.active()
        .filter(Q(machine=machine) | Q(machine__memberships__machine=machine), gpus=0)
        .count(),
    )


def line_of(machine: Machine) -> list[Job]:
    """The jobs that wait for a machine, in order."""
    return in_order(Job.objects.queued().filter(machine=machine))


def waiting_in(machine: Machine, line: Sequence[Job]) -> list[Waiting]:
    """The jobs in line, with the facts that decide whether they start."""
    short = too_short(machine, line)
    return [waiting(job, short.get(job.pk, "")) for job in line]


def waiting(job: Job, rental: str = "") -> Waiting:
    return Waiting(
        id=job.pk,
        owner=job.owner_id,
        gpus=job.gpus,
        held=job.why_held,
        after=_after(job),
        rental=rental,
        one_node=job.job_kind.one_node,
    )


def _after(job: Job) -> str:
    for awaited in job.awaited:
        if awaited.source is None:
            return "The job whose checkpoint it waits for is gone."
        if awaited.source.status != Status.COMPLETED:
            return _told("checkpoint of job", awaited.source)
    for gate in job.gates:
        if gate.run and gate.run.status != Status.COMPLETED:
            return _told("its rehearsal, job", gate.run)
    if shut := _shut(job):
        return shut
    before = job.after
    if before is None or before.is_over:
        return ""
    return _told("job", before)


def _shut(job: Job) -> str:
    """For what the gate of a job waits; empty where it has none, or that let it through."""
    gate = job.shut_gate
    if gate is None:
        return ""
    if gate.on and gate.on.status != Status.COMPLETED:
        return f"{_told('evaluation, job', gate.on)} It starts if {gate.words}."
    return f"It starts if {gate.words}, which is being found out."


def _told(what: str, before: Job) -> str:
    return f"After {what} {before.pk}, which is {before.stands}."


def claim(machine: Machine) -> Job | None:
    """Claim the first job in line that fits: it gets leases of its devices, and is STARTING.

    Needs the lock on the machine.
    """
    line = {job.pk: job for job in line_of(machine)}
    for job in filter(is_forsaken, line.values()):
        _fail(job, _why_forsaken(job))
    found = next_start(waiting_in(machine, [*line.values()]), room_of(machine))
    if found is None or machine.starts_nothing:
        return None
    job, devices = line[found[0].id], found[1]
    now = timezone.now()
    if not lifecycle.move(
        job, Status.STARTING, only_from=(Status.QUEUED,), started_at=now, position=None
    ):
        return claim(machine)  # someone has just stopped it
    owners = [member.machine_id for member in members_of(machine)] or [machine.pk]
    for code in devices:  # of a group's: the member's place and the device's own number
        place, device = divmod(code, STRIDE) if machine.is_group else (0, code)
        Lease.objects.create(job=job, machine_id=owners[place], device=device)
    return job


def is_forsaken(job: Job) -> bool:
    """It waits for a job that ended without completing, or is gone: for the checkpoint that was to
    come of it, or for its word that this one runs."""
    return bool(_why_forsaken(job))


def _why_forsaken(job: Job) -> str:
    for awaited in job.awaited:
        if _never_comes(awaited.source):
            return f"It was to train on from a checkpoint, but {_end_of(awaited.source)}."
    for gate in job.gates:
        if _never_comes(gate.run):
            found = f": {gate.run.reason}" if gate.run and gate.run.reason else "."
            return f"It was to start when its rehearsal passed, but {_end_of(gate.run)}{found}"
    return _barred(job)


def _barred(job: Job) -> str:
    """Why the gate of a job never lets it through; empty while it may."""
    gate = job.shut_gate
    if gate is None:
        return ""
    if gate.failure:
        return f"It was to start if {gate.words}. {gate.failure}"
    if _never_comes(gate.on):
        return f"It was to start if {gate.words}, but {_end_of(gate.on)}."
    return ""


def _never_comes(before: Job | None) -> bool:
    return before is None or (before.status in ENDS and before.retry_at is None)


def _end_of(before: Job | None) -> str:
    return f"job {before.pk} {ENDS[Status(before.status)]}" if before else "that job is gone"


def _fail(job: Job, reason: str) -> None:
    lifecycle.move(
        job,
        Status.FAILED,
        only_from=(Status.QUEUED,),
        reason=reason,
        ended_at=timezone.now(),
    )


def could_start(machine: Machine) -> bool:
    """True when a worker that looked at the queue now would find something to do."""
    line = line_of(machine)
    if any(map(is_forsaken, line)):
        return True
    if machine.starts_nothing:
        return False
    return next_start(waiting_in(machine, line), room_of(machine)) is not None


def joining() -> dict[str, Any]:
    """Fields of a job that joins a line: ``take_turn`` then finds its place."""
    return {"queued_at": timezone.now(), "position": None, "archived_at": None, **NOT_HELD}


def take_turn(job: Job) -> None:
    """Put a job that has just joined the line where its owner's turn is.

    Needs the lock on the machine.
    """
    line = [other for other in same_priority(job) if other.pk != job.pk]
    place = turn([waiting(other) for other in line], waiting(job), usage(job.machine_id))
    if place < len(line):
        renumber([*line[:place], job, *line[place:]])


def usage(machine_id: int) -> Counter[int]:
    """What each user's running jobs use: their devices, and one for each job on the CPU."""
    using: Counter[int] = Counter()
    running = Job.objects.active().filter(machine=machine_id).order_by()
    for owner, gpus in running.values_list("owner", "gpus"):
        using[owner] += max(1, gpus)
    return using


def same_priority(job: Job) -> list[Job]:
    return in_order(Job.objects.queued().filter(machine=job.machine_id, priority=job.priority))


def in_order(jobs: JobQuerySet) -> list[Job]:
    """Waiting jobs with what their line needs to know of them, and no more."""
    bulky = (
        "spec", "command", "after__spec", "after__command", "gate__on__spec", "gate__on__command",
    )  # fmt: skip
    sources = JobInput.objects.awaited().select_related("source")
    awaited = Prefetch("inputs", sources.defer("source__spec", "source__command"), "awaited")
    jobs = jobs.select_related("after", "owner", "gate__on").defer(*bulky)
    runs = Rehearsal.objects.gates().select_related("run").defer("run__spec", "run__command")
    gates = Prefetch("rehearsals", runs, "gates")
    # The prefetches fill the properties of these names.
    return list(jobs.prefetch_related(awaited, gates))  # type: ignore[no-redef]


def renumber(line: Iterable[Job]) -> None:
    """Write down an order of the jobs of one priority."""
    changed = []
    for position, job in enumerate(line, 1):
        if job.position != position:
            job.position = position
            changed.append(job)
    Job.objects.bulk_update(changed, ["position"], batch_size=500)


def leased_devices(job: Job) -> tuple[int, ...]:
    """The numbers of the devices that a job has leases of."""
    return tuple(job.leases.values_list("device", flat=True))
