"""What a page asks of one metric, and of its chart."""

import math
from typing import Any

from django import forms

SORTS = ("step", "value")
LAST = 2**63 - 1


class MetricForm(forms.Form):
    """Every field but the name may be missing."""

    name = forms.CharField(max_length=200, strip=False, widget=forms.HiddenInput)
    low = forms.IntegerField(required=False, min_value=0, max_value=LAST, label="From step")
    high = forms.IntegerField(required=False, min_value=0, max_value=LAST, label="To step")
    sort = forms.ChoiceField(
        choices=[("", ""), *((f"{sign}{name}", name) for name in SORTS for sign in ("", "-"))],
        required=False,
        widget=forms.HiddenInput,
    )

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = self.cleaned_data
        low, high = given.get("low"), given.get("high")
        if low is not None and high is not None and low > high:
            self.add_error("high", f"No step is from {low} to {high}: the last one comes first.")
        return given


class PinForm(forms.Form):
    name = forms.CharField(max_length=200, strip=False)
    first = forms.TypedChoiceField(choices=[("1", ""), ("0", "")], coerce=lambda text: text == "1")


def in_order(pairs: list[tuple[int, float]], sort: str) -> list[tuple[int, float]]:
    """By step or by value, after ``-`` from above; a value that is no number comes last."""
    down = sort.startswith("-")
    if sort.removeprefix("-") != "value":
        return pairs[::-1] if down else pairs
    known = [pair for pair in pairs if not math.isnan(pair[1])]
    unknown = [pair for pair in pairs if math.isnan(pair[1])]
    return sorted(known, key=lambda pair: pair[1], reverse=down) + unknown
