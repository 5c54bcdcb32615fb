from typing import Any

from django import forms
from django.contrib.auth.models import User

from jobs.models import Job

MOST = 100  # jobs at once


class TickedForm(forms.Form):
    """Jobs that were ticked in a list, of those that the user may see."""

    def __init__(self, user: User, data: Any = None) -> None:
        super().__init__(data)
        jobs = Job.objects.visible_to(user).select_related("machine", "dataset_version__dataset")
        self.fields["job"] = forms.ModelMultipleChoiceField(
            jobs, error_messages={"required": "Tick one job or more first."}
        )

    def clean_job(self) -> list[Job]:
        jobs = list(self.cleaned_data["job"].order_by("-pk"))
        if len(jobs) > MOST:
            raise forms.ValidationError(f"{MOST} jobs are the most at once.")
        return jobs

    @property
    def first_error(self) -> str:
        return str(next(iter(self.errors["job"])))


class DeleteForm(TickedForm):
    """``sure`` is the second word; ``leaves`` lets files stay on a machine that does not answer."""

    sure = forms.BooleanField(required=False)
    leaves = forms.BooleanField(required=False)
