"""What the queue of a machine looks like now, for pages and commands."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Q

from compute.machines.devices import devices_of
from compute.models import Machine
from jobs.models import Job, Status
from jobs.queue import claims
from jobs.queue.line.machine import Room, reasons


@dataclass(frozen=True)
class Device:
    """A GPU, and the job that has its lease. A leased GPU may have left the machine since."""

    number: int
    name: str
    job: Job | None
    is_there: bool


@dataclass(frozen=True)
class Row:
    """A waiting job: its place in line, what it needs, and why it has not started."""

    place: int
    job: Job
    needs: str
    reason: str


@dataclass(frozen=True)
class Queue:
    machine: Machine
    room: Room
    devices: list[Device]
    running: list[Job]
    waiting: list[Row]

    def as_json(self) -> dict[str, Any]:
        return {
            "machine": self.machine.name,
            "gpus": None if self.room.gpus is None else [_device(each) for each in self.devices],
            "slots": self.room.slots,
            "slots_free": self.room.free_slots,
            "running": [_running(job) for job in self.running],
            "waiting": [_waiting(row) for row in self.waiting],
        }


def queue_of(machine: Machine) -> Queue:
    here = Q(machine=machine) | Q(machine__memberships__machine=machine)
    active = Job.objects.active().filter(here).defer("spec", "command")
    running = list(
        active.select_related("owner").prefetch_related("leases").order_by("started_at", "pk")
    )
    room = claims.room_of(machine)
    waiting = list(rows_of(machine, room))
    return Queue(machine, room, list(_devices(machine, room, running)), running, waiting)


def rows_of(machine: Machine, room: Room) -> Iterator[Row]:
    jobs = claims.line_of(machine)
    line = claims.waiting_in(machine, jobs)
    told = zip(jobs, line, reasons(line, room), strict=True)
    closed = machine.starts_nothing if jobs else ""
    for place, (job, fact, reason) in enumerate(told, 1):
        yield Row(place, job, fact.needs, fact.held or closed or reason)


def reason_of(job: Job) -> str:
    """Why a job has not started, in a sentence; empty for one that does not wait."""
    if job.status != Status.QUEUED:
        return ""
    rows = rows_of(job.machine, claims.room_of(job.machine))
    return next((row.reason for row in rows if row.job == job), "")


def _devices(machine: Machine, room: Room, running: list[Job]) -> Iterator[Device]:
    if machine.is_group:
        return  # they are its members', and shown there
    devices = devices_of(machine)
    names = devices.names if devices else {}
    leases = [(lease, job) for job in running for lease in job.leases.all()]
    having = {lease.device: job for lease, job in leases if lease.machine_id == machine.pk}
    for number in sorted({*names, *room.leased}):
        yield Device(number, names.get(number, ""), having.get(number), number in names)


def _device(device: Device) -> dict[str, Any]:
    job = device.job.pk if device.job else None
    return {"device": device.number, "name": device.name, "job": job}


def _running(job: Job) -> dict[str, Any]:
    return {
        "id": job.pk,
        "name": job.name,
        "owner": job.owner.get_username(),
        "status": job.status,
        "devices": [lease.device for lease in job.leases.all()],
    }


def _waiting(row: Row) -> dict[str, Any]:
    job = row.job
    return {
        "place": row.place,
        "id": job.pk,
        "name": job.name,
        "owner": job.owner.get_username(),
        "priority": job.get_priority_display().lower(),
        "gpus": job.gpus,
        "after": job.after_id,
        "held_by": job.held_by if job.is_held else None,
        "reason": row.reason,
    }
