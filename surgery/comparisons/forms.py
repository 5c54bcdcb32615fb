from collections.abc import Sequence
from typing import Any

from django.contrib.auth.models import User

from jobs.models import Place
from surgery.kinds.compare import CompareSpec
from surgery.making.forms import MakeForm, Wrong, a_model, a_path, one_path

BY_PATH = "By its path, below"


class CompareForm(MakeForm):
    """Which two models are compared."""

    before = a_model("First model", "Such as the one that training began with.")
    before_path = a_path("First model by path", "A folder of the machine.")
    after = a_model("Second model", "Such as the one that training made.")
    after_path = a_path("Second model by path", "A folder of the machine.")

    def __init__(self, user: User, places: Sequence[Place], data: Any = None, **more: Any) -> None:
        super().__init__(user, data, **more)
        for field in ("before", "after"):
            self.offer(field, places, none=BY_PATH)

    def asked(self, given: dict[str, Any]) -> CompareSpec:
        spec = CompareSpec(one_path(given, "before"), one_path(given, "after"))
        if spec.before == spec.after:
            raise Wrong("after", "This is the first model: choose another one.")
        return spec

    def check_inputs(self, given: dict[str, Any]) -> None:
        for field, path in (("before", self.spec.before), ("after", self.spec.after)):
            shown = field if given[field] else f"{field}_path"
            self.check_models(shown, [path], given["machine"])

    def default_name(self) -> str:
        return f"{self.called(self.spec.before)} and {self.called(self.spec.after)} compared"
