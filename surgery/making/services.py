"""From a valid form of surgery to its job."""

import uuid as uuids
from pathlib import PurePosixPath

from django.contrib.auth.models import User
from django.db import transaction

from compute.models import Machine
from datasets.models import Version
from jobs.kinds.base import Spec
from jobs.kinds.registry import kind_of
from jobs.launch.submit import Order, submit
from jobs.models import Job, Removal
from jobs.queue import claims
from platform_site.work.models import BUSY
from surgery.making.checks import SurgeryError
from surgery.making.forms import MakeForm


def make(form: MakeForm) -> Job:
    """Queue the job that a valid form asks for. The same ``uuid`` twice is the same job.

    Raises ``SurgeryError``.
    """
    given = form.cleaned_data
    return queue(
        form.spec, given["machine"], form.user, form.job_name, given["uuid"], form.dataset_version
    )


def queue(
    spec: Spec, machine: Machine, owner: User, name: str, uuid: uuids.UUID,
    dataset_version: Version | None = None,
) -> Job:  # fmt: skip
    """Raises ``SurgeryError`` where what it would read is being deleted by now."""
    order = Order(
        owner=owner, name=name[:200], recipe="", spec=spec, steps=None, machine=machine, uuid=uuid,
        dataset_version=dataset_version,
    )  # fmt: skip
    with transaction.atomic():
        claims.locked(machine.pk)  # as by whoever deletes
        _check_stays(spec, machine)
        return submit(order, start=True)


def _check_stays(spec: Spec, machine: Machine) -> None:
    within = set[str]()
    for path in kind_of(spec).reads(spec).inputs.values():
        within |= {path, *map(str, PurePosixPath(path).parents)}
    asked = Removal.objects.filter(place__machine=machine, place__path__in=within, state__in=BUSY)
    if removal := asked.select_related("place").first():
        raise SurgeryError(f"{removal.place.path} is being deleted: {removal.who} asked for it.")
