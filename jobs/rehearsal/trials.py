"""A job that tries another one: one of the same settings that is underway already is taken."""

import uuid as uuids

from django.contrib.auth.models import User
from django.db import transaction

from compute.models import Machine
from jobs.kinds.registry import kind_of
from jobs.kinds.trial import TrialSpec
from jobs.launch.submit import Order, submit
from jobs.models import Job, Rehearsal, Status
from jobs.queue import held

UNDERWAY = (Status.QUEUED, Status.STARTING, Status.RUNNING)


def try_out(
    job: Job, owner: User, spec: TrialSpec, machine: Machine, *, must_pass: bool = False
) -> Job:
    """Queue the job that tries another one on a machine. Raises ``NotSubmitted``."""
    with transaction.atomic():
        held.lock(spec, machine)  # nobody else makes the same one meanwhile
        if running := _underway(job, spec, machine):
            if must_pass:
                running.rehearses.must_pass = True
                running.rehearses.save(update_fields=["must_pass"])
            return running
        made = submit(_order(job, owner, spec, machine), start=True)
        Rehearsal.objects.create(job=job, run=made, must_pass=must_pass)
    return made


def _underway(job: Job, spec: TrialSpec, machine: Machine) -> Job | None:
    rows = Rehearsal.objects.filter(job=job, run__status__in=UNDERWAY, run__machine=machine)
    runs = (row.run for row in rows.select_related("run") if row.run)
    same = (run for run in runs if run.kind == spec.kind and run.spec == spec.to_json())
    return next(same, None)


def _order(job: Job, owner: User, spec: TrialSpec, machine: Machine) -> Order:
    return Order(
        owner=owner,
        name=f"{kind_of(spec).label.partition(' (')[0]} of {job.name[:180]}",
        recipe="",
        spec=spec,
        steps=None,
        machine=machine,
        uuid=uuids.uuid4(),
        dataset_version=job.dataset_version,
    )
