"""A form that makes one job, however often it is sent."""

import uuid as uuids
from copy import copy
from typing import Any

from django import forms
from django.contrib.auth.models import User

from jobs.launch.submit import MadeAnother
from jobs.models import Job

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

    def refuse(self, error: Exception, field: str | None = None) -> None:
        """Say at the form why what was asked for is not made. Where its number is that of a job
        that it made before, it has a new one, and can be sent again."""
        if isinstance(error, MadeAnother):
            self.renew()
        self.add_error(field, str(error))
