from typing import Any

from django import forms

from surgery.choice.criterion import FORMULA, LABELS, METRIC, VALIDATION, Criterion
from surgery.choice.formula import MOST_LETTERS, FormulaError, parse

SIDES = (("", "As its name says"), ("higher", "Higher is better"), ("lower", "Lower is better"))
HIGHER = {"higher": True, "lower": False}


class CriterionForm(forms.Form):
    """By what is chosen."""

    by = forms.ChoiceField(label="Choose by", choices=list(LABELS.items()), initial=VALIDATION)
    metric = forms.CharField(label="Metric", required=False, max_length=300)
    formula = forms.CharField(
        label="Formula", required=False, max_length=MOST_LETTERS,
        help_text='As m["val-core/acc"] - 0.5 * kl, with + - * / **, min, max, abs and log.',
    )  # fmt: skip
    side = forms.ChoiceField(label="Better is", choices=SIDES, required=False)

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        by = data.get("by")
        if by == METRIC and not data.get("metric") and "metric" not in self.errors:
            self.add_error("metric", "Name a metric.")
        if by == FORMULA and "formula" not in self.errors:
            try:
                parse(data.get("formula", ""))
            except FormulaError as error:
                self.add_error("formula", str(error))
        return data

    def criterion(self) -> Criterion:
        data = self.cleaned_data
        return Criterion(data["by"], data["metric"], data["formula"], HIGHER.get(data["side"]))


class KeepForm(CriterionForm):
    """By what is chosen, and how many of the best stay."""

    best = forms.IntegerField(label="Keep the best", min_value=1, max_value=1000, initial=1)
