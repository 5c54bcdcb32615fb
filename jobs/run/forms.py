from collections.abc import Sequence
from typing import Any

from django import forms

from jobs.artifacts.story import Saved
from platform_site.fields import one_line


class ResumeForm(forms.Form):
    """Which checkpoint to go on from; empty is the newest that is whole, 0 the beginning."""

    def __init__(self, known: Sequence[Saved], data: Any = None, step: int | None = None) -> None:
        """``step`` is chosen when the form is opened."""
        steps = dict.fromkeys(saved.step for saved in known if saved.artifact.is_whole)
        super().__init__(data, initial={"step": step if step in steps else ""})
        beginning = [("0", "The beginning: no checkpoint is used")] if known else []
        self.fields["step"] = forms.TypedChoiceField(
            choices=[
                ("", "The newest that is whole"),
                *((str(step), f"Step {step}") for step in steps),
                *beginning,
            ],
            coerce=int,
            empty_value=None,
            required=False,
            widget=forms.RadioSelect,
        )


class StepForm(forms.Form):
    step = forms.IntegerField(min_value=0, max_value=2**53)


class RenameForm(forms.Form):
    name = forms.CharField(
        max_length=200, validators=[one_line], error_messages={"required": "A job has a name."}
    )
