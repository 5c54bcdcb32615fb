from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib.auth.models import User

from jobs.models import Place
from surgery.averages.ordering import Part, in_order, is_higher, values_of, weights_of
from surgery.kinds.average import EMA, GREEDY, LAST, METRIC, UNIFORM, WEIGHTED, AverageSpec
from surgery.making import judging
from surgery.making.checks import SurgeryError, check_alike
from surgery.making.forms import MakeForm, Wrong, lines, lines_of_paths, numbers_in, several_models

MOST = 64
METHODS = {
    UNIFORM: "All alike",
    LAST: "The last ones, all alike",
    EMA: "The later the more (EMA)",
    WEIGHTED: "By weights that I give",
    METRIC: "By a metric of the run",
    GREEDY: "Those that make it score better (greedy soup)",
}
NEEDS = {
    LAST: "last_count", EMA: "decay", WEIGHTED: "weights", METRIC: "metric", GREEDY: "judge",
}  # fmt: skip
SIDES = (("", "As its name says"), ("higher", "Higher is better"), ("lower", "Lower is better"))
DTYPES = (("", "That of the models"), ("float32", "float32"), ("bfloat16", "bfloat16"))


class AverageForm(MakeForm):
    """Of what an average is made, and how much each counts."""

    models = several_models("Checkpoints and models of your jobs; Ctrl or Cmd chooses several. "
                            "They count in the order of their steps; where a step lacks or two are "
                            "equal, in the order in which they were made. Those of one average lie "
                            "on one machine.")  # fmt: skip
    more_models = lines_of_paths()
    method = forms.ChoiceField(
        choices=list(METHODS.items()), label="How much each counts"
    )  # fmt: skip
    last_count = forms.IntegerField(
        min_value=2, max_value=MOST, required=False, label="How many of the last",
        help_text="2 or more.",
    )  # fmt: skip
    decay = forms.FloatField(
        min_value=0, max_value=1, required=False, label="Decay",
        help_text="How much of the average stays with each further checkpoint, from 0 to "
        "1. Usual: 0.5 to 0.9 for few checkpoints.",
    )  # fmt: skip
    weights = forms.CharField(
        max_length=2000, required=False, label="Weights",
        help_text="One for each model, such as 0.2 0.3 0.5: first for those chosen in the list, "
        "from top to bottom, then for those by path. Only their ratios count.",
    )  # fmt: skip
    metric = forms.CharField(
        max_length=300, required=False, label="Metric",
        help_text="Its name, such as val/loss. Each checkpoint counts by the value "
        "at its step; where lower is better, by 1 / value. A greedy soup tries the best first; "
        "without a metric it scores each alone before.",
    )  # fmt: skip
    better = forms.ChoiceField(choices=SIDES, required=False, label="Better is")
    judge = forms.TypedChoiceField(
        coerce=int, empty_value=None, required=False, label="Score by the validation of",
        help_text="For a greedy soup: a run of SFT on the machine of the models. Each average that "
        "is tried is validated on its data, after one step with a learning rate of 0.",
    )  # fmt: skip
    dtype = forms.ChoiceField(choices=DTYPES, required=False, label="Type of the numbers")

    def __init__(self, user: User, places: Sequence[Place], data: Any = None, **more: Any) -> None:
        super().__init__(user, data, **more)
        self.offer("models", places)
        self.runs = {run.pk: run for run in judging.fit(judging.runs_of(user))}
        said = {pk: f"{run.name} (job {pk}), on {run.machine}" for pk, run in self.runs.items()}
        self.fields["judge"].choices = [("", "No run"), *said.items()]  # type: ignore[attr-defined]

    def asked(self, given: dict[str, Any]) -> AverageSpec:
        typed = lines(given["more_models"])
        paths = list(dict.fromkeys([*given["models"], *typed]))
        if not 2 <= len(paths) <= MOST:
            raise Wrong("models", f"Choose from 2 to {MOST} models, not {len(paths)}.")
        method = given["method"]
        needed = NEEDS.get(method)
        if needed and given[needed] in (None, ""):
            raise Wrong(needed, "It is needed for the way that is chosen above.")
        self.check_models("models", paths, given["machine"])
        parts = in_order(given["models"], typed, given["machine"], self.user)
        by_metric = method == METRIC or (method == GREEDY and bool(given["metric"]))
        higher = is_higher(given["metric"], given["better"]) if by_metric else None
        values = _values(parts, paths, given)
        told = [{"path": part.path, "step": part.place} for part in parts]
        if values:
            told = [{**each, "value": values[part.path]}
                    for each, part in zip(told, parts, strict=True)]  # fmt: skip
        self.details = _details(parts, values, given)
        return AverageSpec(
            method=method,
            checkpoints=told,
            last=_last(parts, given) if method == LAST else None,
            decay=given["decay"] if method == EMA else None,
            metric=given["metric"] if by_metric else "",
            higher_is_better=higher,
            dtype=given["dtype"],
            judge=self._judge(given) if method == GREEDY else {},
        )

    def _judge(self, given: dict[str, Any]) -> dict[str, Any]:
        """The run that scores, which reads its data. Raises ``Wrong``."""
        run = self.runs[given["judge"]]
        if run.machine_id != given["machine"].pk:
            raise Wrong("judge", f"{run.name} ran on {run.machine}, and the models lie on "
                        f"{given['machine']}: choose a run of that machine.")  # fmt: skip
        self.dataset_version = run.dataset_version
        return {"job": run.pk, "of": run.kind, "train": run.spec}

    def check_inputs(self, given: dict[str, Any]) -> None:
        try:
            check_alike(self.spec.read, given["machine"])
        except SurgeryError as error:
            raise Wrong("models", str(error)) from error

    def default_name(self) -> str:
        return f"Average of {len(self.spec.read)} models: {METHODS[self.spec.method].lower()}"


def _last(parts: Sequence[Part], given: dict[str, Any]) -> int:
    count: int = given["last_count"]
    if count > len(parts):
        raise Wrong("last_count", f"There are {len(parts)} models: {count} are too many.")
    return count


def _details(parts: Sequence[Part], values: dict[str, float], given: dict[str, Any]) -> list[str]:
    """What is averaged in its order, each with its value, where the method goes by these."""
    if given["method"] == UNIFORM or (given["method"] == GREEDY and not values):
        return []
    read = parts[-given["last_count"] :] if given["method"] == LAST else parts
    what = "weight" if given["method"] == WEIGHTED else given["metric"]
    return [
        f"{part.label}: {what} {values[part.path]:g}" if values else part.label for part in read
    ]


def _values(parts: Sequence[Part], paths: Sequence[str], given: dict[str, Any]) -> dict[str, float]:
    """By what each path counts; empty where the method needs no values. Raises ``Wrong``."""
    if given["method"] in (METRIC, GREEDY):
        read = values_of if given["method"] == GREEDY else weights_of
        found = read(parts, given["metric"]) if given["metric"] else []
        return {part.path: value for part, value in zip(parts, found, strict=bool(found))}
    if given["method"] != WEIGHTED:
        return {}
    weights = numbers_in(given["weights"], "weights")
    if any(not 1e-9 <= weight <= 1e9 for weight in weights):
        raise Wrong("weights", "A weight is above 0 and at most 1e9. Leave a model out that does "
                    "not count.")  # fmt: skip
    if len(weights) != len(paths):
        raise Wrong("weights", f"There are {len(weights)} weights for {len(paths)} models.")
    return dict(zip(paths, weights, strict=True))
