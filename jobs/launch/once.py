"""A form that makes one job, however often it is sent."""

import json
import uuid as uuids
from copy import copy
from typing import Any

from django import forms
from django.contrib.auth.models import User

from compute.models import Machine
from jobs.kinds.base import Spec
from jobs.models import Job, Status

ANOTHER = (
    "Nothing was started: this form has started {job} already, and was changed since. Send it once "
    "more for a further job."
)
NOT_ITS_OWN = "Nothing was made: the number of this form belongs to another. It has its own now."


def is_taken(uuid: uuids.UUID, user: User) -> bool:
    """Whether somebody else's job has it."""
    return Job.objects.filter(uuid=uuid).exclude(owner=user).exists()


class OnceForm(forms.Form):
    """``uuid`` becomes that of the job. One that is none, or somebody else's, is replaced: all else
    that was filled in stays, and the form can be sent again."""

    uuid = forms.UUIDField(widget=forms.HiddenInput)
    user: User  # who sends it

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        uuid = cleaned.get("uuid")
        if uuid is None or is_taken(uuid, self.user):
            self.errors.pop("uuid", None)
            self.renew()
            self.add_error(None, f"{NOT_ITS_OWN} Send it once more.")
        return cleaned

    def renew(self) -> None:
        """Give it a number of its own."""
        data: Any = copy(self.data)  # what a request brought cannot be changed
        data["uuid"] = str(uuids.uuid4())
        self.data = data

    def has_made_another(self, spec: Spec, machine: Machine, name: str) -> bool:
        """Whether a job has the number of this valid form and is not what the form asks for now,
        so that its user went back and changed it. The form then says so and has a new number."""
        begun = Job.objects.exclude(status=Status.DRAFT).filter(uuid=self.cleaned_data["uuid"])
        job = begun.first()
        if job is None:
            return False
        asked = json.loads(json.dumps(spec.to_json()))  # as the row has it
        if (job.kind, job.spec, job.machine_id, job.name) == (
            spec.kind, asked, machine.pk, name[:200],
        ):  # fmt: skip
            return False
        self.renew()
        self.add_error(None, ANOTHER.format(job=f"{job.name} (job {job.pk})"))
        return True
