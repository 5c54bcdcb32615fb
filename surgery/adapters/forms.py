from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib.auth.models import User

from jobs.models import Place
from surgery.kinds.lora import LoraExtractSpec, LoraMergeSpec
from surgery.making.checks import SurgeryError, check_adapters, check_alike
from surgery.making.forms import (
    MakeForm,
    Wrong,
    a_model,
    a_path,
    lines,
    lines_of_paths,
    numbers_in,
    one_path,
    several_models,
)  # fmt: skip

MOST = 64
LARGEST_WEIGHT = 1000.0
BY_PATH = "By its path, below"
DTYPES = (
    ("", "That of the base"), ("float32", "float32"), ("bfloat16", "bfloat16"),
    ("float16", "float16"),
)  # fmt: skip
SAME = ("model_type", "hidden_size", "num_hidden_layers")


class LoraMergeForm(MakeForm):
    """Which adapters are merged into which model."""

    base = a_model("Base model", "The model that the adapters were trained on.")
    base_path = a_path("Base model by path", "A folder of the machine.")
    adapters = several_models(
        "Adapters that jobs of yours extracted, and exports that kept one.", "Adapters"
    )
    more_adapters = lines_of_paths("Adapters by path")
    weights = forms.CharField(
        max_length=2000, required=False, label="Weights",
        help_text="One for each adapter in their order, such as 0.5 0.5. Without them, each counts "
        "whole.",
    )  # fmt: skip
    dtype = forms.ChoiceField(choices=DTYPES, required=False, label="Type of the numbers")

    def __init__(
        self,
        user: User,
        places: Sequence[Place],
        adapters: Sequence[Place],
        data: Any = None,
        **more: Any,
    ) -> None:
        super().__init__(user, data, **more)
        self.offer("base", places, none=BY_PATH)
        self.offer("adapters", adapters)

    def asked(self, given: dict[str, Any]) -> LoraMergeSpec:
        base = one_path(given, "base")
        paths = list(dict.fromkeys([*given["adapters"], *lines(given["more_adapters"])]))
        if not 1 <= len(paths) <= MOST:
            raise Wrong("adapters", f"Choose from 1 to {MOST} adapters, not {len(paths)}.")
        weights = numbers_in(given["weights"], "weights") or [1.0] * len(paths)
        if len(weights) != len(paths):
            raise Wrong("weights", f"There are {len(weights)} weights for {len(paths)} adapters.")
        if any(not abs(weight) <= LARGEST_WEIGHT for weight in weights):
            raise Wrong("weights", f"A weight is from -{LARGEST_WEIGHT:.0f} to "
                        f"{LARGEST_WEIGHT:.0f}.")  # fmt: skip
        told = [
            {"path": path, "weight": weight} for path, weight in zip(paths, weights, strict=True)
        ]
        return LoraMergeSpec(base, told, given["dtype"])

    def check_inputs(self, given: dict[str, Any]) -> None:
        shown = "base" if given["base"] else "base_path"
        self.check_models(shown, [self.spec.base], given["machine"])
        try:
            paths = [str(each["path"]) for each in self.spec.adapters]
            check_adapters(paths, given["machine"], self.user)
        except SurgeryError as error:
            raise Wrong("adapters", str(error)) from error

    def default_name(self) -> str:
        count = len(self.spec.adapters)
        adapters = "an adapter" if count == 1 else f"{count} adapters"
        return f"{self.called(self.spec.base)} with {adapters}"


class LoraExtractForm(MakeForm):
    """What an adapter is extracted out of, and how large it is."""

    base = a_model("Base model", "The model that training began with.")
    base_path = a_path("Base model by path", "A folder of the machine.")
    tuned = a_model("Trained model", "The model that training made, with all its weights.")
    tuned_path = a_path("Trained model by path", "A folder of the machine.")
    rank = forms.IntegerField(
        min_value=1, max_value=100_000, required=False, label="Rank",
        help_text="Of each matrix of the adapter. Usual: 8 to 128. Give a rank or a share.",
    )  # fmt: skip
    energy = forms.FloatField(
        min_value=0, max_value=1, required=False, label="Share of the change",
        help_text="Each matrix has the smallest rank that keeps so much of the squared change, "
        "such as 0.95.",
    )  # fmt: skip
    keep = forms.BooleanField(
        required=False, label="Keep changed norms and embeddings",
        help_text="Whole, beside the adapter. Otherwise they are left out and named.",
    )  # fmt: skip

    def __init__(self, user: User, places: Sequence[Place], data: Any = None, **more: Any) -> None:
        super().__init__(user, data, **more)
        for field in ("base", "tuned"):
            self.offer(field, places, none=BY_PATH)

    def asked(self, given: dict[str, Any]) -> LoraExtractSpec:
        base, tuned = one_path(given, "base"), one_path(given, "tuned")
        if base == tuned:
            raise Wrong("tuned", "This is the base model: choose another one.")
        rank, energy = given["rank"], given["energy"]
        if (rank is None) == (energy is None):
            raise Wrong("rank", "Give a rank or a share of the change, and not both.")
        if energy == 0:
            raise Wrong("energy", "The share is above 0.")
        return LoraExtractSpec(base, tuned, rank, energy, given["keep"])

    def check_inputs(self, given: dict[str, Any]) -> None:
        for field, path in (("base", self.spec.base), ("tuned", self.spec.tuned)):
            shown = field if given[field] else f"{field}_path"
            self.check_models(shown, [path], given["machine"])
        try:
            check_alike([self.spec.base, self.spec.tuned], given["machine"], SAME)
        except SurgeryError as error:
            raise Wrong("tuned", str(error)) from error

    def default_name(self) -> str:
        return f"Adapter out of {self.called(self.spec.tuned)}"
