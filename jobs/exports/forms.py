from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib.auth.models import User

from jobs.artifacts.story import Saved
from jobs.exports.services import default_name
from jobs.launch.once import OnceForm
from jobs.models import Job
from platform_site.fields import one_line


class ExportForm(OnceForm):
    step = forms.TypedChoiceField(coerce=int, label="Checkpoint")
    name = forms.CharField(max_length=200, label="Name", validators=[one_line])
    keep_adapter = forms.BooleanField(
        required=False,
        label="Keep a LoRA adapter beside the weights",
        help_text="Otherwise it is folded into them. Without an adapter this does nothing.",
    )

    def __init__(
        self, job: Job, found: Sequence[Saved], user: User, data: Any = None, **more: Any
    ) -> None:
        super().__init__(data, **more)
        self.user = user
        field = self.fields["step"]
        field.choices = [(saved.step, f"Step {saved.step}") for saved in found]  # type: ignore[attr-defined]
        step = self.initial.get("step") or (found[0].step if found else 0)
        self.initial.setdefault("name", default_name(job, int(step)))
