from typing import Any

from django import forms
from django.contrib.auth.models import User

from evaluations.kinds.evaluate import Evaluate
from evaluations.steps.step import Limit
from jobs.models import ENDED, Job, Status
from jobs.order.choice_fields import JobField


class GateForm(forms.Form):
    """What an evaluation must find before a job starts."""

    metric = forms.CharField(
        max_length=300, label="Metric", help_text="Its name, such as eval/score/mean."
    )
    at_least = forms.FloatField(required=False, label="At least")
    at_most = forms.FloatField(required=False, label="At most")
    better = forms.ChoiceField(
        choices=(("", "Not worse"), ("better", "Better")), required=False, label="Beside the other",
        help_text="By the same prompts. A difference counts where its interval of 95 % shows it.",
    )  # fmt: skip
    margin = forms.FloatField(
        required=False, min_value=0, label="Margin",
        help_text="With it, not worse means: for sure not worse by more than this.",
    )  # fmt: skip

    def __init__(self, user: User, data: Any = None, **more: Any) -> None:
        super().__init__(data, **more)
        dead = set(ENDED) - {Status.COMPLETED}
        known = Job.objects.visible_to(user).filter(kind=Evaluate.slug, deleting_at=None)
        known = known.exclude(status__in=dead)
        self.fields["on"] = JobField(known, label="Evaluation", empty_label="Choose one")
        self.fields["other"] = JobField(
            known, required=False, label="Compared with", empty_label="No other evaluation"
        )
        self.order_fields(["on", "metric", "at_least", "at_most", "other", "better", "margin"])

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        asked = [given.get(name) for name in ("at_least", "at_most", "other")]
        if not self.errors and all(value is None for value in asked):
            self.add_error("at_least", "Say at least one of at least, at most and compared with.")
        if given.get("better") and not given.get("other"):
            self.add_error("better", "Choose the evaluation that it is compared with.")
        if given.get("margin") and (given.get("better") or not given.get("other")):
            self.add_error("margin", "A margin goes with an evaluation that it is not worse than.")
        return given

    @property
    def limit(self) -> Limit:
        """Of the valid form."""
        given, other = self.cleaned_data, self.cleaned_data["other"]
        named = f"job {other.pk}" if other else ""
        is_better = given["better"] == "better"
        return Limit(
            metric=given["metric"], at_least=given["at_least"], at_most=given["at_most"],
            not_worse_than="" if is_better else named, better_than=named if is_better else "",
            margin=given["margin"] or 0.0,
        )  # fmt: skip
