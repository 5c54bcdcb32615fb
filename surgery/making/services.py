"""From a valid form of surgery to its job."""

import uuid as uuids

from django.contrib.auth.models import User

from compute.models import Machine
from datasets.models import Version
from jobs.kinds.base import Spec
from jobs.launch.submit import Order, submit
from jobs.models import Job
from surgery.making.forms import MakeForm


def make(form: MakeForm) -> Job:
    """Queue the job that a valid form asks for. The same ``uuid`` twice is the same job.

    Raises ``NotSubmitted``.
    """
    given = form.cleaned_data
    return queue(
        form.spec, given["machine"], form.user, form.job_name, given["uuid"], form.dataset_version
    )


def queue(
    spec: Spec, machine: Machine, owner: User, name: str, uuid: uuids.UUID,
    dataset_version: Version | None = None,
) -> Job:  # fmt: skip
    """Raises ``NotSubmitted``."""
    order = Order(
        owner=owner, name=name[:200], recipe="", spec=spec, steps=None, machine=machine, uuid=uuid,
        dataset_version=dataset_version,
    )  # fmt: skip
    return submit(order, start=True)
