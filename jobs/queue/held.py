"""What a job reads is held while the job joins a line, so that nobody deletes it meanwhile."""

from compute.machines.local import local_machine
from compute.models import Machine
from jobs.artifacts.readable import going
from jobs.kinds.base import Spec
from jobs.kinds.registry import kind_of
from jobs.queue import claims


def lock(spec: Spec, machine: Machine) -> None:
    """Lock the queue of the machine, and of each other machine on which the job may read: whoever
    deletes there holds the same lock, and finds the job that reads, or the job finds the deletion.
    """
    claims.locked(machine.pk, *_machines(spec, machine))


def being_deleted(spec: Spec, machine: Machine) -> str:
    """What of that which a job reads is being deleted, in a sentence; empty where nothing is.
    Needs the lock."""
    reads = kind_of(spec).reads(spec)
    paths = [path for path in (*reads.models.values(), *reads.inputs.values()) if path]
    return next(iter(going(paths, _machines(spec, machine)).values()), "")


def _machines(spec: Spec, machine: Machine) -> dict[int, Machine]:
    """The job's own, and this one, from which a model is sent where the other has none."""
    reads, local = kind_of(spec).reads(spec), local_machine()
    return {machine.pk: machine} | ({local.pk: local} if reads.models else {})
