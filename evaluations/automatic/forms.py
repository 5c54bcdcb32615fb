"""What each checkpoint of a run is asked: the form of an evaluation without its models."""

from typing import Any

from django.contrib.auth.models import User

from evaluations.kinds.evaluate import EvaluateSpec
from evaluations.ordering.forms import EvaluateForm
from jobs.models import Job

OF_A_MODEL = ("models", "more_models", "adapter", "machine")


class RuleForm(EvaluateForm):
    """``spec`` is what all are asked. They run where the run is."""

    def __init__(self, user: User, run: Job, data: Any = None, **more: Any) -> None:
        super().__init__(user, [], data, **more)
        self.run = run
        for name in OF_A_MODEL:
            del self.fields[name]

    def clean(self) -> dict[str, Any]:
        self.cleaned_data["machine"] = self.run.machine
        return super().clean()

    def asked(self, given: dict[str, Any]) -> EvaluateSpec:
        return self.common(given)
