"""From a valid form of surgery to its job."""

import uuid as uuids

from django.contrib.auth.models import User

from compute.models import Machine
from jobs.kinds.base import Spec
from jobs.launch.submit import Order, submit
from jobs.models import Job
from surgery.making.forms import MakeForm


def make(form: MakeForm) -> Job:
    """Queue the job that a valid form asks for. The same ``uuid`` twice is the same job."""
    given = form.cleaned_data
    return queue(form.spec, given["machine"], form.user, form.job_name, given["uuid"])


def queue(spec: Spec, machine: Machine, owner: User, name: str, uuid: uuids.UUID) -> Job:
    order = Order(
        owner=owner, name=name[:200], recipe="", spec=spec, steps=None, machine=machine, uuid=uuid
    )
    return submit(order, start=True)
